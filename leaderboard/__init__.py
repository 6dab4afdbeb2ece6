"""The leaderboard, regenerated from run records: collect, tables, render.

Nothing here knows models or engines: records and statistics only.
"""
