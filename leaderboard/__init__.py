"""The leaderboard, made anew from run records: collect, tabulate, render.

May import records, catalog, stats and core; knows no model and no engine.
"""
