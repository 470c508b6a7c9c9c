"""Features of a frozen backbone: its weights (fetched or pretrained), extraction, cache."""
