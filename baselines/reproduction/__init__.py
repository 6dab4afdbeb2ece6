"""What the reproduction's driver (`baselines/reproduce.py`) carries out: its plan, and how settings are chosen.

May import what baselines may.
"""
