"""Stats: how sure a number is. Rates, consistency, bootstrap intervals, paired tests: numpy in, numbers out.

Imports nothing of mlc-bench; knows nothing of files, tasks or models.
"""
