"""Counts, rows and single answers of a selection, from the index. One thread at a time: the connection is one."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlc_bench.stats import measures
from mlc_bench.view import marks, search
from mlc_bench.view.contents import Contents, Run, Spoken, Task
from mlc_bench.view.files import Row
from mlc_bench.view.selection import Selection

PROMPTS = 50  # rows of a page
BEGINNING = 160  # characters of a text in a cell
Where = tuple[str, list[Any]]


@dataclass(frozen=True)
class Count:
    """`k` of `n` answers, and the share as a fraction with Wilson's 95 % interval; None of none."""

    k: int
    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Cell:
    """One answer in the grid; `is_found`: it is one that the filters ask for. Texts are beginnings."""

    run: Run
    language: Spoken
    marks: int
    prompt: str
    response: str
    is_longer: bool
    is_found: bool


@dataclass(frozen=True)
class Line:
    """One prompt of the grid: its answers by (run, language), and the prompt in English where some run has it."""

    name: str
    category: str | None
    english: str | None
    cells: dict[tuple[str, str], Cell]


@dataclass(frozen=True)
class Answer:
    """One answer with all that is known of it; `said`: judge, row of its verdict, bits."""

    run: Run
    task: Task
    language: Spoken
    name: str
    item: int
    category: str | None
    prompt: str
    response: str
    thinking: str
    english: str | None
    more: Row
    said: tuple[tuple[str, Row, int], ...]


def count(k: int, n: int) -> Count:
    """A share with its interval."""
    low, high = measures.wilson(k, n)
    return Count(k, n, k / n, low, high) if n else Count(0, 0, None, None, None)


class Queries:
    """The index as pages ask it."""

    def __init__(self, db: sqlite3.Connection, contents: Contents) -> None:
        self.db, self.contents = db, contents
        self.lock = threading.RLock()
        self._text: str | None = None

    def counts(self, chosen: Selection) -> tuple[Count, dict[str, Count]]:
        """How many answers the selection's filters find, and each filter by itself among the same answers.

        `changed` is among them where the selection names its two runs and asks for it.
        """
        with self.lock:
            table, where, values = self._scope(chosen)
            if chosen.is_change or chosen.text:
                columns = f"s.marks, {'b.marks' if chosen.is_change else '0'}, count(*)"
            else:  # the same conditions, on counts
                table, columns = "tally s", "s.marks, 0, sum(s.n)"
            sql = f"SELECT {columns} FROM {table} WHERE {where} GROUP BY 1, 2"
            found = self.db.execute(sql, values).fetchall()
        if chosen.is_change:
            decided = [(own, marks.changed(was, own), n) for own, was, n in found]
        else:
            decided = [(own, True, n) for own, _, n in found]
        decided = [(own, is_so, n) for own, is_so, n in decided if is_so is not None]
        among = [(own, is_so, n) for own, is_so, n in decided if own & chosen.among == chosen.among]
        k = sum(n for own, is_so, n in among if is_so and own & chosen.bits == chosen.bits)
        single = {
            one.name: count(
                sum(n for own, _, n in found if own & one.holds and own & one.among == one.among),
                sum(n for own, _, n in found if own & one.among == one.among),
            )
            for one in marks.FILTERS
        }
        if chosen.is_change:
            n = sum(n for _, _, n in decided)
            single[marks.CHANGED] = count(sum(n for _, is_so, n in decided if is_so), n)
        return count(k, sum(n for _, _, n in among)), single

    def items(self, chosen: Selection) -> list[int]:
        """The numbers of the prompts with an answer that the filters find, in the order of the data."""
        with self.lock:
            table, where, values = self._scope(chosen, found=True)
            sql = f"SELECT DISTINCT s.item FROM {table} WHERE {where} ORDER BY 1"
            return [item for (item,) in self.db.execute(sql, values)]

    def lines(self, chosen: Selection, items: Sequence[int], beginning: int | None = BEGINNING) -> list[Line]:
        """The grid's rows of some prompts; `beginning` None: texts are whole."""
        if not items:
            return []
        runs = {run.number: run for run in (*chosen.runs, *filter(None, (chosen.before, chosen.after)))}
        spoken = {one.number: one for one in chosen.languages}
        of = ", ".join(map(str, items))
        length = 1 << 30 if beginning is None else beginning + 1
        with self.lock:
            found_table, found_where, found_values = self._scope(chosen, found=True)
            found = {
                answer
                for (answer,) in self.db.execute(
                    f"SELECT s.answer FROM {found_table} WHERE {found_where} AND s.item IN ({of})", found_values
                )
            }
            sql = (
                "SELECT s.item, s.run, s.language, s.marks, s.answer, "
                f"substr(a.prompt, 1, {length}), substr(a.response, 1, {length}) "
                "FROM said s JOIN answer a ON a.id = s.answer "
                f"WHERE s.judge = ? AND s.task = ? AND s.item IN ({of}) "
                f"AND s.run IN ({', '.join(map(str, runs))}) AND s.language IN ({', '.join(map(str, spoken))})"
            )
            cells: dict[int, dict[tuple[str, str], Cell]] = {}
            for item, run, language, own, answer, prompt, response in self.db.execute(
                sql, (self.contents.judges[chosen.judge], chosen.task.number)
            ):
                cells.setdefault(item, {})[runs[run].name, spoken[language].code] = Cell(
                    runs[run], spoken[language], own, prompt[:beginning], response[:beginning],
                    beginning is not None and len(response) > beginning, answer in found,
                )  # fmt: skip
            english = self._english(chosen.task, of)
            categories = {number: name for name, number in self.contents.categories.items()}
            about = {
                number: (name, categories.get(category))
                for number, name, category in self.db.execute(f"SELECT id, name, category FROM item WHERE id IN ({of})")
            }
        return [Line(*about[item], english.get(item), cells.get(item, {})) for item in items]

    def _english(self, task: Task, items: str) -> dict[int, str]:
        """The prompts of some items in English, of whatever run and judge."""
        if (english := self.contents.languages.get("en")) is None:
            return {}
        sql = (
            "SELECT s.item, a.prompt FROM said s JOIN answer a ON a.id = s.answer "
            f"WHERE s.judge = ? AND s.task = ? AND s.item IN ({items}) AND s.language = ?"
        )
        found: dict[int, str] = {}
        for judge in self.contents.judges.values():
            found |= dict(self.db.execute(sql, (judge, task.number, english.number)))
        return found

    def answer(self, run: str, task: str, language: str, name: str) -> Answer | None:
        """One answer by its run, task, language and id; None where it is not there."""
        found, kind, spoken = (
            self.contents.runs.get(run),
            self.contents.tasks.get(task),
            self.contents.languages.get(language),
        )
        if found is None or kind is None or spoken is None:
            return None
        with self.lock:
            judges = ", ".join(map(str, self.contents.judges.values()))
            row = self.db.execute(
                "SELECT a.id, i.id, i.category, a.prompt, a.response, a.thinking, a.more FROM item i "
                f"JOIN said s ON s.judge IN ({judges}) AND s.task = i.task AND s.item = i.id AND s.language = ?2 "
                "AND s.run = ?3 JOIN answer a ON a.id = s.answer "
                "WHERE i.task = ?1 AND i.language IN (0, ?2) AND i.name = ?4 LIMIT 1",
                (kind.number, spoken.number, found.number, name),
            ).fetchone()
            if row is None:
                return None
            number, item, category, prompt, response, thinking, more = row
            said = self.db.execute(
                "SELECT j.name, v.row, s.marks FROM verdict v JOIN judge j ON j.id = v.judge "
                "JOIN said s ON s.judge = v.judge AND s.task = ? AND s.item = ? AND s.language = ? AND s.run = ? "
                "WHERE v.answer = ? ORDER BY j.id",
                (kind.number, item, spoken.number, found.number, number),
            ).fetchall()
            english = self._english(kind, str(item)).get(item)
        names = {number: name for name, number in self.contents.categories.items()}
        return Answer(
            found, kind, spoken, name, item, names.get(category), prompt, response, thinking,
            english if spoken.code != "en" else None, json.loads(more),
            tuple((judge, json.loads(text), own) for judge, text, own in said),
        )  # fmt: skip

    def beside(self, chosen: Selection, at: Answer) -> tuple[tuple[str, str, str] | None, tuple[str, str, str] | None]:
        """(run, language, id) of the answers before and behind one among those that the selection finds."""
        key = [at.item, at.language.number, at.run.number]
        found = []
        with self.lock:
            table, where, values = self._scope(chosen, found=True)
            for sign, order in (("<", "DESC"), (">", "ASC")):
                sql = (
                    f"SELECT s.run, s.language, s.item FROM {table} WHERE {where} "
                    f"AND (s.item, s.language, s.run) {sign} (?, ?, ?) "
                    f"ORDER BY s.item {order}, s.language {order}, s.run {order} LIMIT 1"
                )
                row = self.db.execute(sql, [*values, *key]).fetchone()
                found.append(None if row is None else self._named(*row))
        return found[0], found[1]

    def _named(self, run: int, language: int, item: int) -> tuple[str, str, str]:
        runs = {one.number: one.name for one in self.contents.runs.values()}
        languages = {one.number: one.code for one in self.contents.languages.values()}
        (name,) = self.db.execute("SELECT name FROM item WHERE id = ?", (item,)).fetchone()
        return runs[run], languages[language], name

    def all_lines(self, chosen: Selection) -> Iterator[Line]:
        """Every row of the selection with whole texts, some in memory at a time."""
        items = self.items(chosen)
        for start in range(0, len(items), PROMPTS):
            yield from self.lines(chosen, items[start : start + PROMPTS], None)

    def _scope(self, chosen: Selection, found: bool = False) -> tuple[str, str, list[Any]]:
        """Tables, condition and values: the answers that are counted, or (`found`) those that the filters find."""
        runs = [chosen.after] if chosen.is_change and chosen.after else chosen.runs
        where = (
            "s.judge = ? AND s.task = ? "
            f"AND s.run IN ({', '.join(str(run.number) for run in runs)}) "
            f"AND s.language IN ({', '.join(str(one.number) for one in chosen.languages)})"
        )
        values: list[Any] = [self.contents.judges[chosen.judge], chosen.task.number]
        table = "said s"
        if chosen.category:
            where += " AND s.category = ?"
            values.append(self.contents.categories[chosen.category])
        if chosen.text:
            self._look_up(chosen.text)
            where += " AND s.answer IN hits"
        if found and chosen.bits:
            where += f" AND s.marks & {chosen.bits | chosen.among} = {chosen.bits | chosen.among}"
        if chosen.is_change and chosen.before:
            table += (
                " JOIN said b ON b.judge = s.judge AND b.task = s.task AND b.item = s.item "
                f"AND b.language = s.language AND b.run = {chosen.before.number}"
            )
            if found:
                side = marks.SIDE
                where += f" AND s.marks & {side} <> b.marks & {side} AND s.marks & {side} AND b.marks & {side}"
        return table, where, values

    def _look_up(self, text: str) -> None:
        """Put the answers with the words of a text into the table `hits`, which stays for the next query."""
        if text == self._text:
            return
        self.db.execute("CREATE TEMP TABLE IF NOT EXISTS hits(id INTEGER PRIMARY KEY)")
        self.db.execute("DELETE FROM hits")
        self._text = None
        if (query := search.query(text)) is not None:
            self.db.execute("INSERT INTO hits SELECT rowid FROM words WHERE words MATCH ?", (query,))
        self._text = text
