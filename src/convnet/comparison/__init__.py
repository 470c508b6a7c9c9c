"""One variant against another: interval, looks, Holm, verdict, its words."""
