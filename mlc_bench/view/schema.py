"""The tables of the index, and the file that they are in.

The index holds nothing that the files of the runs do not hold. It is thrown away where this version did not make it,
and where SQLite cannot read it; then it is made anew.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from mlc_bench.catalog.sources import cache_dir
from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.spec import digest
from mlc_bench.view.search import TOKENIZER

VERSION = 2
"""Goes up with every change of the tables, of `marks.py` and of `search.py`."""

# `said` is what filters scan: one narrow row for each answer and judge, in the order of the page. Texts are elsewhere.
# `tally` counts its rows, for all selections that neither search nor compare runs.
# As many words as here in memory at a time make the index faster; with larger pages SQLite needs twice the memory.
_TABLES = f"""
CREATE TABLE run(id INTEGER PRIMARY KEY, folder TEXT UNIQUE, seen TEXT, name TEXT UNIQUE, model TEXT, about TEXT);
CREATE TABLE judge(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE task(id INTEGER PRIMARY KEY, name TEXT, version INTEGER, measures TEXT, partner TEXT,
  UNIQUE(name, version));
CREATE TABLE language(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE category(id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE item(id INTEGER PRIMARY KEY, task INTEGER, language INTEGER, name TEXT, category INTEGER,
  UNIQUE(task, language, name));
CREATE TABLE answer(id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER, item INTEGER, language INTEGER, prompt TEXT,
  response TEXT, thinking TEXT, more TEXT);
CREATE TABLE said(judge INTEGER, task INTEGER, item INTEGER, language INTEGER, run INTEGER, answer INTEGER,
  marks INTEGER, category INTEGER, PRIMARY KEY(judge, task, item, language, run)) WITHOUT ROWID;
CREATE TABLE tally(judge INTEGER, task INTEGER, run INTEGER, language INTEGER, category INTEGER, marks INTEGER,
  n INTEGER, PRIMARY KEY(judge, task, run, language, category, marks)) WITHOUT ROWID;
CREATE TABLE verdict(answer INTEGER, judge INTEGER, row TEXT, PRIMARY KEY(answer, judge)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(prompt, response, thinking, content='', columnsize=0,
  tokenize="{TOKENIZER}");
INSERT INTO words(words, rank) VALUES('hashsize', {40 << 20});
INSERT INTO words(words, rank) VALUES('automerge', 0);
PRAGMA user_version = {VERSION};
"""


def place(paths: Sequence[Path]) -> Path:
    """Where the index of some folders of results is: in the cache, by the folders' paths."""
    key = digest(sorted(str(path.resolve()) for path in paths))[:16]
    return cache_dir() / "view" / f"{key}.sqlite"


def opened(path: Path) -> sqlite3.Connection:
    """The index at `path`, made where it is absent or of no use. PrerequisiteError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = _usable(path)
        if connection is None:
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # it holds answers
            connection = _connect(path)
            connection.executescript(_TABLES)
        return connection
    except (OSError, sqlite3.Error) as error:
        raise PrerequisiteError(f"the index {path} cannot be written ({error}); set MLC_BENCH_CACHE") from None


def _usable(path: Path) -> sqlite3.Connection | None:
    if not path.is_file():
        return None
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute("SELECT * FROM run, judge, task, said LIMIT 1").fetchone()
    except sqlite3.DatabaseError:  # cut, or something else's
        version = None
    finally:
        connection.close()
    return _connect(path) if version == VERSION else None


def _connect(path: Path) -> sqlite3.Connection:
    # One connection serves all threads of the server, under a lock of its own.
    connection = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")  # what a power cut destroys is made anew
    connection.execute("PRAGMA cache_size = -32000")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection
