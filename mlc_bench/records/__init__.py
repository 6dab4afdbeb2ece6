"""Records: what is written down of a run, and which numbers may be compared.

May import catalog, stats and core.
"""
