"""The index, made of the files of runs: a run that has changed is read again, one that is gone leaves.

A run is the unit, in one transaction: its answers are compared with each other (English, harmless partners, judges).
"""

import json
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import PrerequisiteError, StaleError, UsageError
from mlc_bench.core.names import shown
from mlc_bench.core.progress import Report, bar, say
from mlc_bench.records.record import RunRecord, TaskResult
from mlc_bench.view import files, marks, schema
from mlc_bench.view.ahead import ahead
from mlc_bench.view.files import Files, Part, Row
from mlc_bench.view.search import indexed

_LARGE = 16 << 20  # bytes of files from which a second processor pays
_CHUNK = 1000  # answers that are put in at a time
_ENGLISH = "en"  # what translations are of


class Task:
    """The answers of one task of a run, by their places in the file of samples."""

    def __init__(self, number: int, found: TaskResult) -> None:
        self.number, self.result = number, found
        self.items, self.answers = array("q"), array("q")
        self.languages, self.categories, self.cut = array("l"), array("l"), array("l")
        self.place: dict[tuple[int, str], int] = {}
        self.said: dict[int, array[int]] = {}
        """By judge, the bits of each answer."""
        self.votes: dict[int, list[int]] = {}
        """By place, the bits of ensembles' members."""


def update(paths: Sequence[Path]) -> sqlite3.Connection:
    """The index of all runs at or under the paths, as their files are now.

    UsageError where there is no run, PrerequisiteError where the index cannot be written. What cannot be read of one
    run is said, and the others are there.
    """
    found = files.runs(paths)
    place = schema.place(paths)
    try:
        return _updated(schema.opened(place), found)
    except sqlite3.OperationalError as error:  # another process writes it, or the disk is full
        raise PrerequisiteError(f"the index {place} cannot be written ({error}); try again later") from None
    except sqlite3.DatabaseError as error:
        say(f"the index {place} cannot be read ({error}); it is made anew")
        place.unlink(missing_ok=True)
        return _updated(schema.opened(place), found)


def _updated(db: sqlite3.Connection, found: list[Files]) -> sqlite3.Connection:
    known = dict(db.execute("SELECT folder, seen FROM run"))
    now = {str(one.folder): one.seen for one in found}
    gone = [folder for folder, seen in known.items() if now.get(folder) != seen]
    fresh = [one for one in found if known.get(str(one.folder)) != now[str(one.folder)]]
    for folder in gone:
        _in_one(db, partial(_remove, db, folder))
    if fresh:
        rows = _Rows(fresh)
        with bar("index") as report:
            for one in fresh:
                try:
                    _in_one(db, partial(_Run(db, one, rows).add, now[str(one.folder)], report))
                except (UsageError, StaleError) as error:
                    say(f"left out: {error}")
    if not db.execute("SELECT 1 FROM said LIMIT 1").fetchone():
        raise StaleError(f"no run in {found[0].folder.parent} has answers with verdicts that can be read")
    return db


def _in_one(db: sqlite3.Connection, action: Callable[[], None]) -> None:
    """One transaction: all of it or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        action()
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _remove(db: sqlite3.Connection, folder: str) -> None:
    (run,) = db.execute("SELECT id FROM run WHERE folder = ?", (folder,)).fetchone()
    # The words of a text leave by the same text.
    texts = db.execute("SELECT id, prompt, response, thinking FROM answer WHERE run = ?", (run,))
    sql = "INSERT INTO words(words, rowid, prompt, response, thinking) VALUES('delete', ?, ?, ?, ?)"
    db.executemany(sql, ((number, *map(indexed, three)) for number, *three in texts))
    db.execute("DELETE FROM verdict WHERE answer IN (SELECT id FROM answer WHERE run = ?)", (run,))
    for table in ("said", "tally", "answer"):
        db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))
    db.execute("DELETE FROM run WHERE id = ?", (run,))


class _Rows:
    """The rows of all files of the runs, file by file in the order in which they come; any may be left out."""

    def __init__(self, runs: list[Files]) -> None:
        is_large = sum(one.size for one in runs) >= _LARGE
        self._parts: Iterator[Part] = ahead(files.read, runs) if is_large else files.read(runs)

    def of(self, path: Path) -> Iterator[Any]:
        """Raises as `files.samples` and `files.verdicts`."""
        for name, part in self._parts:
            if name != path:  # of a run that is left out
                continue
            if part is None:
                return
            if isinstance(part, Exception):
                raise part
            yield from part
        raise StaleError(f"{path} has changed meanwhile; run the same command again")


class _Run:
    def __init__(self, db: sqlite3.Connection, found: Files, rows: _Rows) -> None:
        self.db, self.files, self.rows = db, found, rows
        self.languages: dict[str, int] = dict(db.execute("SELECT name, id FROM language"))
        self.categories: dict[str, int] = dict(db.execute("SELECT name, id FROM category"))

    def add(self, seen: str, report: Report) -> None:
        records = self.files.records()
        main = records[0]
        other = self.db.execute("SELECT folder FROM run WHERE name = ?", (main.run_id,)).fetchone()
        if other == (str(self.files.folder),):  # another process has just put it in
            return
        if other:
            raise UsageError(f"{self.files.folder}: the run {main.run_id} is in {other[0]}, too")
        model = main.model.name + (f" + {main.model.adapter.name}" if main.model.adapter else "")
        about = json.dumps(_about(records))
        sql = "INSERT INTO run(folder, seen, name, model, about) VALUES(?, ?, ?, ?, ?)"
        values = (str(self.files.folder), seen, main.run_id, model, about)
        self.number = self.db.execute(sql, values).lastrowid
        total = sum(result.n for task in files.judged(main) for result in task.languages.values())
        tasks = {task.name: self._task(task) for task in files.judged(main)}
        done = 0
        for task in tasks.values():
            done = self._answers(task, done, max(total, 1), report)
        for found in records:
            judge = self._known("judge", found.judge.id)
            for task in tasks.values():
                self._verdicts(found, judge, task)
        for task in tasks.values():
            self._compare(task, tasks.get(task.result.over_refusal_task or ""))

    def _task(self, found: TaskResult) -> Task:
        partner = found.over_refusal_task if found.over_refusal_pairs else None
        key = (found.name, found.version)
        # A record of schema 3 does not know pairs: a later run of the task says so.
        self.db.execute(
            "INSERT INTO task(name, version, measures, partner) VALUES(?, ?, ?, ?) "
            "ON CONFLICT(name, version) DO UPDATE SET partner = coalesce(excluded.partner, partner)",
            (*key, found.measures, partner),
        )
        return Task(self.db.execute("SELECT id FROM task WHERE (name, version) = (?, ?)", key).fetchone()[0], found)

    def _answers(self, task: Task, done: int, total: int, report: Report) -> int:
        items = {
            (language, name): number
            for number, language, name in self.db.execute(
                "SELECT id, language, name FROM item WHERE task = ?", (task.number,)
            )
        }
        next_item = self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM item").fetchone()[0]
        next_answer = 1 + max(
            self.db.execute("SELECT coalesce(max(id), 0) FROM answer").fetchone()[0],
            self.db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'answer'").fetchone()[0],
        )
        path = files.samples_of(self.files.folder, task.result.name)
        if not path.is_file():
            raise StaleError(f"{path} is gone; run the same command again to have the samples from the store")
        waiting: list[tuple[tuple[Any, ...], tuple[Any, ...]]] = []
        fresh: list[tuple[Any, ...]] = []
        for one in self.rows.of(path):
            language = self._language(one.language)
            if (language, one.id) in task.place:
                name = f"{shown(one.id)} is there twice in {shown(one.language)}"
                raise UsageError(f"{path}: the id {name}; make the run anew")
            category = self._category(one.category)
            key = (0 if task.result.parallel else language, one.id)
            item = items.get(key)
            if item is None:
                item = items[key] = next_item
                next_item += 1
                fresh.append((item, task.number, *key, category))
            task.place[language, one.id] = len(task.items)
            task.items.append(item)
            task.answers.append(next_answer)
            task.languages.append(language)
            task.categories.append(category)
            task.cut.append(marks.CUT if one.is_cut else 0)
            texts = (one.prompt, one.response, one.thinking, one.more)
            waiting.append(((next_answer, self.number, item, language, *texts), (next_answer, *one.words)))
            next_answer += 1
            if len(waiting) == _CHUNK:
                self._put(waiting)
                done += len(waiting)
                report(min(done, total), total)
                waiting = []
        self._put(waiting)
        self.db.executemany("INSERT INTO item VALUES(?, ?, ?, ?, ?)", fresh)
        done += len(waiting)
        report(min(done, total), total)
        return done

    def _put(self, waiting: list[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> None:
        self.db.executemany("INSERT INTO answer VALUES(?, ?, ?, ?, ?, ?, ?, ?)", [row for row, _ in waiting])
        sql = "INSERT INTO words(rowid, prompt, response, thinking) VALUES(?, ?, ?, ?)"
        self.db.executemany(sql, [words for _, words in waiting])

    def _verdicts(self, found: RunRecord, judge: int, task: Task) -> None:
        path = files.verdicts_of(self.files.folder, found, task.result.name)
        if not path.is_file():
            say(f"left out: {path} is gone; judge the run again: mlc-bench judge {self.files.folder}")
            return
        said = task.said[judge] = array("l", bytes(array("l").itemsize * len(task.items)))
        waiting = []
        for language, name, own, votes, text in self.rows.of(path):
            at = task.place.get((self.languages.get(language, 0), name))
            if at is None:  # of an answer that is there no longer
                continue
            said[at] = own
            if votes:
                task.votes.setdefault(at, []).extend(votes)
            waiting.append((task.answers[at], judge, text))
            if len(waiting) == _CHUNK:
                self.db.executemany("INSERT OR REPLACE INTO verdict VALUES(?, ?, ?)", waiting)
                waiting = []
        self.db.executemany("INSERT OR REPLACE INTO verdict VALUES(?, ?, ?)", waiting)
        unsaid = marks.own({}, "")
        for at, one in enumerate(said):
            said[at] = one or unsaid

    def _compare(self, task: Task, other: Task | None) -> None:
        """Put in the bits of every answer, by judge, in the order of the table, and how many have the same."""
        harmful = task.result.measures == "safety"
        has_partner = harmful and task.result.over_refusal_pairs and other is not None
        english = self.languages.get(_ENGLISH, -1)
        count = len(task.items)
        in_english, in_other = array("l", [-1]) * count, array("l", [-1]) * count
        for (language, name), at in task.place.items():
            if harmful and task.result.parallel and language != english:
                in_english[at] = task.place.get((english, name), -1)
            if has_partner and other is not None:
                in_other[at] = other.place.get((language, name), -1)
        differ = array("l", [0]) * count
        if len(task.said) > 1 or task.votes:
            for at in range(count):
                differ[at] = marks.disagreement([said[at] for said in task.said.values()] + task.votes.get(at, []))
        order = sorted(range(count), key=lambda at: (task.items[at], task.languages[at]))
        for judge, said in task.said.items():
            theirs = other.said.get(judge) if other is not None else None
            tally: Counter[tuple[int, int, int]] = Counter()
            rows = []
            for at in order:
                own = said[at]
                found = own | differ[at] | task.cut[at]
                if in_english[at] >= 0:
                    found |= marks.gap(own, said[in_english[at]])
                if theirs is not None and in_other[at] >= 0:
                    found |= marks.partner(theirs[in_other[at]])
                numbers = (judge, task.number, task.items[at], task.languages[at], self.number, task.answers[at])
                rows.append((*numbers, found, task.categories[at]))
                tally[task.languages[at], task.categories[at], found] += 1
                if len(rows) == _CHUNK:
                    self.db.executemany("INSERT INTO said VALUES(?, ?, ?, ?, ?, ?, ?, ?)", rows)
                    rows = []
            self.db.executemany("INSERT INTO said VALUES(?, ?, ?, ?, ?, ?, ?, ?)", rows)
            counted = [(judge, task.number, self.number, *key, n) for key, n in tally.items()]
            self.db.executemany("INSERT INTO tally VALUES(?, ?, ?, ?, ?, ?, ?)", counted)

    def _language(self, name: str) -> int:
        found = self.languages.get(name)
        if found is None:
            found = self.languages[name] = self._known("language", name)
        return found

    def _category(self, name: str) -> int:
        """0 where an answer has none."""
        if not name:
            return 0
        found = self.categories.get(name)
        if found is None:
            found = self.categories[name] = self._known("category", name)
        return found

    def _known(self, table: str, name: str) -> int:
        self.db.execute(f"INSERT OR IGNORE INTO {table}(name) VALUES(?)", (name,))
        number: int = self.db.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()[0]
        return number


def _about(records: list[RunRecord]) -> Row:
    """What the page shows of a run besides its answers: settings and records, without a number for each prompt."""
    main = records[0]
    found: Row = main.model_dump(mode="json", exclude={"tasks", "judge", "selectivity"})
    found["judges"] = [one.judge.model_dump(mode="json", exclude={"checked", "labels", "agreement"}) for one in records]
    keep = {"name", "version", "pack", "licence", "caution", "unreviewed", "generation", "decoding", "policy"}
    found["tasks"] = {task.name: task.model_dump(mode="json", include=keep) for task in files.judged(main)}
    return found
