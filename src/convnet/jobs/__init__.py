"""A training run as data: its key, its store, its artefacts on disk."""
