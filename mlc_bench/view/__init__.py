"""Reading the answers of finished runs in a browser: an index of samples and verdicts, and a page on loopback.

index.py      made of the files of runs, brought up to date, thrown away without loss; schema.py: its tables
search.py     the words that free text is looked up by, in every script
marks.py      what one answer is, and the filters over it
selection.py  what a reader has chosen, as the address of a page
queries.py    counts, rows and single answers of a selection
pages.py      HTML of these; one_file.py: a selection as one file
label/        pages in which people label answers and mark wrong translations: all that writes
app.py        the addresses; guard.py: who may ask; serve.py: the socket

May import judges, records, catalog, stats and core.
"""
