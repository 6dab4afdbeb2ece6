"""What the index holds besides answers: runs, judges, tasks, languages, categories, each by its name in addresses."""

import json
import sqlite3
from dataclasses import dataclass
from functools import cache

from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import StaleError, UserError
from mlc_bench.view.files import Row


@dataclass(frozen=True)
class Run:
    """One run: `label` is the name of its model, with the run's id where two would have the same."""

    number: int
    name: str
    label: str
    folder: str
    about: Row


@dataclass(frozen=True)
class Task:
    """One task in one version; `partner` names the task whose prompts are the harmless partners of its own."""

    number: int
    name: str
    task: str
    is_harmful: bool
    partner: str | None


@dataclass(frozen=True)
class Spoken:
    """A language as the page names it; `direction` of a code that nobody knows is the browser's guess."""

    number: int
    code: str
    name: str
    native: str
    direction: str


class Contents:
    """All of these, in the order of the page: English first, the others as in the data."""

    def __init__(self, db: sqlite3.Connection) -> None:
        found = db.execute("SELECT id, name, model, folder, about FROM run ORDER BY model, name").fetchall()
        models = [model for _, _, model, _, _ in found]
        self.runs = {
            name: Run(
                number, name, f"{model} ({name})" if models.count(model) > 1 else model, folder, json.loads(about)
            )
            for number, name, model, folder, about in found
        }
        self.judges: dict[str, int] = dict(
            db.execute("SELECT name, id FROM judge WHERE EXISTS(SELECT 1 FROM said WHERE judge = id) ORDER BY id")
        )
        tasks = db.execute(
            "SELECT id, name, version, measures, partner FROM task ORDER BY measures = 'over_refusal', id"
        ).fetchall()
        names = [name for _, name, _, _, _ in tasks]
        self.tasks = {
            (shown := name if names.count(name) == 1 else f"{name}@{version}"): Task(
                number, shown, name, measures == "safety", partner
            )
            for number, name, version, measures, partner in tasks
        }
        rows = db.execute("SELECT id, name FROM language ORDER BY name <> 'en', id")
        self.languages = {code: spoken(number, code) for number, code in rows}
        self.categories: dict[str, int] = dict(db.execute("SELECT name, id FROM category ORDER BY name"))
        # What there are answers of, so that a page offers no empty choice.
        self._there = db.execute("SELECT DISTINCT judge, task, run FROM tally").fetchall()
        self._spoken = db.execute("SELECT DISTINCT task, language FROM tally").fetchall()
        self._of_category = db.execute("SELECT DISTINCT task, category FROM tally WHERE category > 0").fetchall()
        if not self._there:
            raise StaleError("the index has no answer with a verdict; name other runs")

    def tasks_there(self) -> list[Task]:
        """The tasks that have answers."""
        there = {task for _, task, _ in self._there}
        return [task for task in self.tasks.values() if task.number in there]

    def judges_of(self, task: Task) -> list[str]:
        """The judges with verdicts on a task; those of most runs first."""
        runs = [judge for judge, number, _ in self._there if number == task.number]
        return sorted(
            (name for name, one in self.judges.items() if one in runs), key=lambda n: -runs.count(self.judges[n])
        )

    def runs_of(self, task: Task, judge: str) -> list[Run]:
        """The runs with verdicts of a judge on a task."""
        there = {run for one, number, run in self._there if (one, number) == (self.judges[judge], task.number)}
        return [run for run in self.runs.values() if run.number in there]

    def languages_of(self, task: Task) -> list[Spoken]:
        """The languages that a task has answers in."""
        there = {language for number, language in self._spoken if number == task.number}
        return [one for one in self.languages.values() if one.number in there]

    def categories_of(self, task: Task) -> list[str]:
        """The categories of a task's prompts."""
        there = {category for number, category in self._of_category if number == task.number}
        return [name for name, number in self.categories.items() if number in there]

    def partner_of(self, task: Task) -> Task | None:
        """The task with the harmless partners."""
        return next((one for one in self.tasks_there() if one.task == task.partner), None)


@cache
def spoken(number: int, code: str) -> Spoken:
    """A language by its code, known or not."""
    try:
        known = world.describe(code)
    except UserError:
        return Spoken(number, code, code, code, "auto")
    return Spoken(number, code, known.name, known.native_name, known.direction)
