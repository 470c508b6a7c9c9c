"""Use a saved model on new images: load it safely, predict, evaluate a folder, export."""
