"""Contribute: adding a language or a task. Scaffolds, translation drafts, validation, overlap with training data.

May import judges, engines, records, catalog, stats and core.
"""
