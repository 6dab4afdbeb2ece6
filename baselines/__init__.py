"""Training baselines on TRL: one file a method, MLC on any of them, and the reproduction that compares them.

May import console, doctor, contribute, judges, engines and what is below; never the runner or the leaderboard, but
for the driver of the reproduction, which is above both.
"""
