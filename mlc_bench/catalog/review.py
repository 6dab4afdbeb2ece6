"""Which translations are drafts of a model that no speaker has read.

A row that a model translated has the field `draft`, which says what made it. `reviews.jsonl` in the task's folder says
who has read which rows: {"language": "sw", "who": "...", "date": "2026-01-31", "ids": "all"}, or a list of ids.
"""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog import data, notes, reading
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import say

DRAFT = "draft"
REVIEWS = "reviews.jsonl"


@dataclass(frozen=True)
class Review:
    """One reading of a language's rows by a person. `ids` is None for all rows, those added later included."""

    language: str
    who: str
    date: str
    ids: frozenset[str] | None

    def covers(self, row_id: str) -> bool:
        return self.ids is None or row_id in self.ids


def parse(row: dict[str, Any]) -> Review:
    """A line of reviews.jsonl. Raises UsageError that says which field is wrong, and how it must look."""
    for name in ("language", "who", "date"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise UsageError(f"'{name}' is missing or not text")
    try:
        datetime.date.fromisoformat(row["date"])
    except ValueError:
        raise UsageError("'date' is not a day such as 2026-01-31") from None
    ids = row.get("ids")
    if ids != "all" and not (isinstance(ids, list) and ids and all(isinstance(one, str) for one in ids)):
        raise UsageError("'ids' is neither \"all\" nor a list of ids")
    if extra := set(row) - {"language", "who", "date", "ids", "note"}:
        raise UsageError(f"unknown field '{min(extra)}'; known: language, who, date, ids, note")
    return Review(row["language"], row["who"], row["date"], None if ids == "all" else frozenset(ids))


def read(pack: Path) -> list[Review]:
    """The reviews of a task's folder; none where it has no reviews.jsonl. Raises UsageError naming a bad line."""
    return notes.read(pack, REVIEWS, parse)


def unreviewed(entry: TaskEntry, codes: Iterable[str] | None = None, reviews: list[Review] | None = None) -> list[str]:
    """The languages of a task with at least one draft that nobody has read; none where its rows are elsewhere.

    `codes`: of these languages alone; `reviews`: in the place of those in the task's folder.
    """
    if "folder" not in entry.source:
        return []
    reviews = read(entry.path.parent) if reviews is None else reviews
    paths = data.files(entry.source)
    found = []
    for code in paths if codes is None else codes:
        drafts = [str(row.get("id")) for _, row in reading.read(paths[code]).rows if row.get(DRAFT)]
        readers = [review for review in reviews if review.language == code]
        if any(not any(review.covers(row_id) for review in readers) for row_id in drafts):
            found.append(code)
    return sorted(found)


def unreviewed_in_run(entry: TaskEntry, codes: Iterable[str]) -> list[str]:
    """As `unreviewed`, once the answers are there: what cannot be read is said, and counts as not reviewed."""
    try:
        return unreviewed(entry, codes)
    except UsageError as error:
        say(f"{error}; no review of {entry.name} counts")
        return unreviewed(entry, codes, reviews=[])
