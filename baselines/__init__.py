"""Training baselines: one file for each method. None has landed yet."""
