"""What a reader has chosen, as the query of an address: the same address shows the same answers to a colleague.

Runs are named by their ids, the rest by its name, so that an address holds on any machine with the same runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.core.names import shown
from mlc_bench.view import marks
from mlc_bench.view.contents import Contents, Run, Spoken, Task

SHOWS = {"texts": "prompts and answers", "marks": "verdicts only"}
LONGEST = 200  # characters of free text
_LISTS = ("run", "lang", "find")
_ONES = ("task", "judge", "category", "q", "from", "to", "show", "page")
_NOT_OURS = ("token", "answer", "whole", "with-answers")
"""What addresses hold besides a selection."""


@dataclass(frozen=True)
class Selection:
    """All that decides which answers are shown, checked; `before` and `after` are the runs of `changed`."""

    task: Task
    judge: str
    runs: tuple[Run, ...]
    languages: tuple[Spoken, ...]
    finds: tuple[str, ...] = ()
    category: str | None = None
    text: str = ""
    before: Run | None = None
    after: Run | None = None
    show: str = "texts"
    page: int = 1
    chosen: frozenset[str] = frozenset()
    """The names of the parts that the address says; the others are chosen for the reader."""

    @property
    def is_change(self) -> bool:
        return marks.CHANGED in self.finds

    @property
    def bits(self) -> int:
        """What an answer must have to be found."""
        return reduce(or_, (mark.holds for mark in self._marks), 0)

    @property
    def among(self) -> int:
        """What an answer must have to be counted."""
        return reduce(or_, (mark.among for mark in self._marks), 0)

    @property
    def _marks(self) -> list[marks.Filter]:
        """The filters that look at one answer alone."""
        return [marks.BY_NAME[name] for name in self.finds if name != marks.CHANGED]

    def toggled(self, name: str) -> "Selection":
        """With a filter, or without it where it is there; from the first page on."""
        finds = tuple(one for one in self.finds if one != name) if name in self.finds else (*self.finds, name)
        return replace(self, finds=finds, page=1)

    def query(self, **more: Any) -> str:
        """The address's query, without a token; `more` is put behind it."""
        said = {"task": [self.task.name]} if "task" in self.chosen else {}
        if "judge" in self.chosen:
            said["judge"] = [self.judge]
        if "run" in self.chosen:
            said["run"] = [one.name for one in self.runs]
        if "lang" in self.chosen:
            said["lang"] = [one.code for one in self.languages]
        said |= {"find": list(self.finds)} if self.finds else {}
        rest = {"category": self.category, "q": self.text, "from": self.before and self.before.name}
        rest |= {"to": self.after and self.after.name, "show": self.show if self.show != "texts" else None}
        rest |= {"page": str(self.page) if self.page > 1 else None} | more
        pairs = [(key, ",".join(values)) for key, values in said.items()]
        pairs += [(key, str(value)) for key, value in rest.items() if value]
        return urlencode(pairs, safe=",/@")

    def words(self) -> str:
        """The selection as a sentence."""
        found = [marks.BY_NAME[name].words for name in self.finds if name != marks.CHANGED]
        if self.is_change and self.before and self.after:
            found.append(f"changed from {self.before.label} to {self.after.label}")
        parts = [" and ".join(found) or "all answers"]
        parts += [f"category {self.category}"] if self.category else []
        parts += [f"with the words {shown(self.text)}"] if self.text else []
        return ", ".join(parts)


def parsed(text: str, contents: Contents) -> Selection:
    """The selection of a query (`find=gap&lang=sw`) or of a whole address. UsageError for what is no selection."""
    query = urlsplit(text).query if "://" in text else text.removeprefix("/").removeprefix("?")
    try:
        return of(parse_qsl(query, max_num_fields=500), contents)
    except ValueError:
        raise UsageError(f"{shown(text)} is no selection; copy the address of a page") from None


def of(pairs: Iterable[tuple[str, str]], contents: Contents) -> Selection:
    """The selection of the (key, value) pairs of a query.

    Lists are repeated keys, or one with commas. What is not said is chosen: the first task with harmful prompts, the
    judge of most runs, its first run, and all languages. UsageError for what is not there.
    """
    given: dict[str, list[str]] = {}
    for key, value in pairs:
        if key in _LISTS:
            given.setdefault(key, []).extend(part for part in value.split(",") if part)
        elif key in _ONES:
            given[key] = [value] if value else []
        elif key not in _NOT_OURS:
            raise unknown("part of an address", key, [*_LISTS, *_ONES])
    one = {key: (given.get(key) or [""])[0] for key in _ONES}
    tasks = {task.name: task for task in contents.tasks_there()}
    task = tasks[_known("task", one["task"], tasks)] if one["task"] else next(iter(tasks.values()))
    judges = contents.judges_of(task)
    judge = _known("judge of this task", one["judge"], judges) if one["judge"] else judges[0]
    runs = {run.name: run for run in contents.runs_of(task, judge)}
    languages = {spoken.code: spoken for spoken in contents.languages_of(task)}
    finds = tuple(dict.fromkeys(given.get("find", ())))
    for name in finds:
        _known("filter", name, [*marks.BY_NAME, marks.CHANGED])
    before, after = (runs[_known("run", one[key], runs)] if one[key] else None for key in ("from", "to"))
    if marks.CHANGED in finds and not (before and after):
        raise UsageError("'find=changed' needs the two runs, 'from' and 'to'")
    # Without a choice the runs that are compared are the columns.
    shown_runs = _unique(given.get("run", [])) or [run.name for run in (before, after) if run] or [next(iter(runs))]
    return Selection(
        task=task,
        judge=judge,
        runs=tuple(runs[_known("run of this judge", name, runs)] for name in _unique(shown_runs)),
        languages=tuple(
            languages[_known("language of this task", code, languages)]
            for code in _unique(given.get("lang", [])) or languages
        ),
        finds=finds,
        category=_known("category", one["category"], contents.categories_of(task)) if one["category"] else None,
        text=_text(one["q"]),
        before=before,
        after=after,
        show=_known("view", one["show"], SHOWS) if one["show"] else "texts",
        page=_page(one["page"]),
        chosen=frozenset(key for key, values in given.items() if values),
    )


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _known(kind: str, name: str, known: Iterable[str]) -> str:
    known = list(known)
    if name not in known:
        raise unknown(kind, shown(name).strip("'"), known)
    return name


def _text(text: str) -> str:
    text = text.strip()
    if len(text) > LONGEST:
        raise UsageError(f"a search has up to {LONGEST} characters, not {len(text)}")
    return text.encode("utf-8", "replace").decode()


def _page(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 9):
        raise UsageError(f"'page' must be a number from 1, not {shown(text)}")
    return int(text) if text else 1
