"""The report of a reproduction: its claims, called on records, and their tables."""
