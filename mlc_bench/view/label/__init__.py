"""Pages in which people label answers and mark wrong translations; the engine is that of `mlc-bench label`.

Nothing here decides what is drawn, asked or kept: see `judges/labels`.
"""
