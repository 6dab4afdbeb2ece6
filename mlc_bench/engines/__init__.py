"""Engines: how answers are made and kept. Which model it is, the engine that answers, the store of responses.

May import records, catalog, stats and core.
"""
