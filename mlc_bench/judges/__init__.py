"""Judges: who says that an answer refuses. One YAML a judge; rules, models, ensembles, calibration against people.

May import engines, records, catalog, stats and core.
"""
