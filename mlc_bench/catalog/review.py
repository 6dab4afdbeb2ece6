"""Which translations are drafts of a model that no speaker has read, and which a speaker calls wrong.

A row that a model translated has the field `draft`, which says what made it. `reviews.jsonl` in the task's folder says
who has read which rows: {"language": "sw", "who": "...", "date": "2026-01-31", "ids": "all"}, or a list of ids.
A line with `"wrong": true` says that the prompts of a task (`task`) with these ids are wrong, with a `note` or, of one
id, the `correction`. It lifts no mark of a draft, and is open until the prompt is the correction.
"""

import datetime
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog import data, notes, reading
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.inside import inside
from mlc_bench.core.progress import say

_FIELDS = ("language", "who", "date", "ids", "note", "wrong", "task", "correction")
DRAFT = "draft"
REVIEWS = "reviews.jsonl"


@dataclass(frozen=True)
class Review:
    """One reading of a language's rows by a person. `ids` is None for all rows, those added later included.

    `wrong`: it calls the prompts of these rows wrong, in `task` or, where that is None, in every task of the folder.
    """

    language: str
    who: str
    date: str
    ids: frozenset[str] | None
    wrong: bool = False
    task: str | None = None
    correction: str | None = None
    note: str = ""

    def covers(self, row_id: str) -> bool:
        """Whether a person has read a row and let it stand."""
        return not self.wrong and (self.ids is None or row_id in self.ids)


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
    if extra := set(row) - set(_FIELDS):
        raise UsageError(f"unknown field '{min(extra)}'; known: {', '.join(_FIELDS)}")
    known = None if ids == "all" else frozenset(ids)
    return Review(row["language"], row["who"], row["date"], known, **_wrong(row, known))


def _wrong(row: dict[str, Any], ids: frozenset[str] | None) -> dict[str, Any]:
    if (wrong := row.get("wrong", False)) is not True and wrong is not False:
        raise UsageError("'wrong' is neither true nor false")
    for name in ("task", "correction", "note"):
        if not isinstance(row.get(name, ""), str):
            raise UsageError(f"'{name}' is not text")
    if not wrong and (extra := {"task", "correction"} & set(row)):
        raise UsageError(f"'{min(extra)}' goes with \"wrong\": true")
    if "correction" in row and (ids is None or len(ids) > 1 or not row["correction"].strip()):
        raise UsageError("'correction' is the text of one id")
    if wrong and not ("correction" in row or row.get("note", "").strip()):
        raise UsageError("'note' must say what is wrong, or 'correction' how it should be")
    return {"wrong": wrong, "task": row.get("task"), "correction": row.get("correction"), "note": row.get("note", "")}


def read(pack: Path) -> list[Review]:
    """The reviews of a task's folder; none where it has no reviews.jsonl. Raises UsageError naming a bad line."""
    return notes.read(pack, REVIEWS, parse)


def add(pack: Path, row: dict[str, Any]) -> Path:
    """Put a line at the end of a task's reviews, on the disk when this returns; where they are.

    Raises UsageError for what is no review, for lines there that are none, and for a file that cannot be written.
    """
    parse(row)
    path = inside(pack, REVIEWS, f"{pack}: the file")
    read(pack)
    line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
    try:
        with path.open("a+b") as file:
            if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})") from None
    return path


def wrong(entry: TaskEntry) -> dict[str, set[str]]:
    """The ids of a task's prompts that are marked as wrong and not corrected yet, by language.

    Raises UsageError naming a bad line. Where the data are not here, a mark is open.
    """
    if entry.family:
        return {}
    marks = [one for one in read(entry.path.parent) if one.wrong and one.task in (None, entry.name)]
    now: dict[tuple[str, str], str] = {}
    if marks:
        try:
            here = data.read(entry.source) if data.is_here(entry.source) else {}
            now = {(code, str(doc["id"])): doc["prompt"] for code, docs in here.items() for doc in docs}
        except UserError as error:
            say(f"{entry.name}: {error}")
    found: dict[str, set[str]] = {}
    for one in marks:
        for row_id in one.ids or {"all"}:
            if one.correction is None or now.get((one.language, row_id)) != one.correction.strip():
                found.setdefault(one.language, set()).add(row_id)
    return {code: found[code] for code in sorted(found)}


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
