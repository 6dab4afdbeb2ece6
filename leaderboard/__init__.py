"""The leaderboard, regenerated from run records. It has not landed yet."""
