"""Labels of people on the answers of finished runs: which are drawn, what is asked, what is kept, how far two agree.

Knows nothing of the terminal: `mlc-bench label` shows and asks, and so may a page. May import what judges may.
"""
