"""What can be done against overfitting: one module per remedy, with its settings, its hooks and its sentence."""
