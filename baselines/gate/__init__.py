"""A refusal gate on hidden states: fitted without training, put before a finished run's answers.

May import what baselines may.
"""
