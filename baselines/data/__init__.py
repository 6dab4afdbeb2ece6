"""Training data: rows from files, as token ids, and rows that a model writes or translates."""
