"""Adapters: their names matched to the model's, and merged into the weights where an engine needs that."""
