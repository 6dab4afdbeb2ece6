"""A translation that a reader calls wrong, with a correction: a line of the reviews of its task."""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlc_bench.catalog import data, listing, review, sources
from mlc_bench.catalog.review import Review
from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.view.queries import Answer, Queries

if TYPE_CHECKING:
    from mlc_bench.view.label.forms import Fields  # which needs Starlette; a file is written without it

FIELDS = ("who", "note", "correction")
_LONGEST_NAME, _LONGEST_NOTE, _LONGEST_TEXT = 80, 2000, 50_000


@dataclass(frozen=True)
class Marks:
    """What was said of an answer's prompt. `place`: the file that a new mark goes into; `is_pack`: that of the task."""

    said: tuple[Review, ...]
    place: Path
    is_pack: bool
    fault: str = ""


def marks(found: Answer) -> Marks:
    """The marks on an answer's prompt in its language, of the task's folder and of the run's."""
    folder = _pack(found)
    place, fault = folder or Path(found.run.folder), ""
    said: list[Review] = []
    for one in filter(None, (folder, Path(found.run.folder))):
        try:
            said += [mark for mark in review.read(one) if _is_of(mark, found)]
        except UserError as error:
            fault = str(error)
    return Marks(tuple(said), place / review.REVIEWS, folder is not None, fault)


def mark(queries: Queries, name: str, fields: "Fields") -> Path:
    """Keep a mark on the prompt of an answer (`run/task/language/id`); where.

    UsageError for a form that says nothing, an answer that is not there, and a prompt that the task no longer has.
    """
    parts = name.split("/", 3)
    found = queries.answer(*parts) if len(parts) == 4 else None
    if found is None or found.language.code == "en":
        raise UsageError("there is no such translation")
    who, note = fields.text("who", _LONGEST_NAME), fields.text("note", _LONGEST_NOTE)
    correction = fields.text("correction", _LONGEST_TEXT)
    if not who:
        raise UsageError("say who you are: a name, under which your mark is kept")
    row = {
        "language": found.language.code,
        "who": who,
        "date": datetime.date.today().isoformat(),
        "ids": [found.name],
        "task": found.task.task,
        "wrong": True,
    }
    row |= {"note": note} if note else {}
    row |= {"correction": correction} if correction and correction != found.prompt.strip() else {}
    if not {"note", "correction"} & set(row):
        raise UsageError("say what is wrong, or write how it should be")
    folder = _pack(found)
    if folder is not None:
        _check_is_there(found)
    return review.add(folder or Path(found.run.folder), row)


def _is_of(one: Review, found: Answer) -> bool:
    is_its_row = one.ids is None or found.name in one.ids
    return one.wrong and is_its_row and one.language == found.language.code and one.task in (None, found.task.task)


def _pack(found: Answer) -> Path | None:
    """The folder of an answer's task, where that is known and can be written; not that of an installed package."""
    entry = listing.tasks().get(found.task.task)
    if entry is None or entry.family:
        return None
    folder = entry.path.parent
    try:
        sources.check_not_installed(folder, "")
    except UsageError:
        return None
    path = folder / review.REVIEWS
    return folder if os.access(path if path.exists() else folder, os.W_OK) else None


def _check_is_there(found: Answer) -> None:
    """Raises UsageError where the task's data are here and say something else: a mark would be of another text."""
    entry = listing.tasks()[found.task.task]
    if not data.is_here(entry.source):
        return
    docs = data.read(entry.source, [found.language.code]).get(found.language.code, [])
    now = next((doc["prompt"] for doc in docs if str(doc["id"]) == found.name), None)
    if now is not None and now.strip() != found.prompt.strip():
        raise UsageError(f"{entry.name} has another text there now: {now[:200]}")
