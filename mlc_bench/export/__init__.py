"""Export: a finished run in the formats of other tools. One module a format; `run` picks one and writes its files.

May import leaderboard, judges, records, catalog and core. The packages that define the formats are never imported.
"""
