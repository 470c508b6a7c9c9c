"""Tables, figures, model cards and the offline page, from numbers alone."""
