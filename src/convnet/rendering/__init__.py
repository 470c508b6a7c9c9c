"""The drawn datasets."""
