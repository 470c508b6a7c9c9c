"""From a source to packed arrays: archives, label tables, decoding, duplicates, splits, manifest."""
