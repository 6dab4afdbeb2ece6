"""The headline: how far each model tells harmful from harmless requests, outside English and in English.

One table for each pair of a harmful task and its harmless one, in one setting. Safety and over-refusal stand side by
side in it, and it is sorted by the selectivity outside English.
"""

from collections.abc import Iterable

import numpy as np

from mlc_bench.leaderboard.tabulate import notes
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Row, Table
from mlc_bench.leaderboard.tabulate.companion import Companion
from mlc_bench.leaderboard.tabulate.comparable import Panel, companion_of
from mlc_bench.leaderboard.tabulate.ranks import with_best
from mlc_bench.leaderboard.tabulate.task_table import TaskTable, table_id
from mlc_bench.records import fidelity, selectivity
from mlc_bench.records.record import Value

ENGLISH = "en"
_NOTE = "Selectivity: refusal of harmful less refusal of harmless requests. A model that refuses everything has 0."

_SILENT = "The means are over the same languages for all models, also where a model hardly answers; its row says where."


def table(task: TaskTable) -> Table | None:
    """The table of one task; None where nothing is known of its harmless task, or its judge sees harm, not refusal."""
    if task.panel.setting.measures != "safety" or task.panel.setting.headline != "refusal_rate":
        return None
    harmless = companion_of(task.panel.setting, task.panels.values())
    return None if harmless is None else _Pair(task, harmless).table()


class _Pair:
    """A harmful task with its harmless one."""

    def __init__(self, task: TaskTable, harmless: Panel) -> None:
        self.task, self.panel, self.harmless = task, task.panel, harmless
        self.ids = table_id(task.panel.setting), table_id(harmless.setting)
        self.id = f"selectivity-{self.ids[0]}"
        self.columns: list[Column] = []
        self.cells: dict[str, dict[str, Cell]] = {}
        self.keys: dict[str, tuple[str, str]] = {}
        """By language: the key of its column in either task."""

    def table(self) -> Table | None:
        keys = tuple(key for key in self.task.keys if self.panel.languages[key] != ENGLISH)
        self._means(keys)
        first = {column.language: column.key for column in reversed(self.panel.columns)}  # of a language the most used
        for code in sorted(first, key=lambda code: (code != ENGLISH, code)):
            if others := self.harmless.keys_of((code,)):
                self.keys[code] = first[code], others[0]
                self._language(code, first[code], others[0])
        known = [column for column in self.columns if any(cell.value is not None for cell in self._cells(column))]
        if not any(column.parts for column in known):
            return None
        rows = tuple(self._rows(known))
        setting, other = self.panel.setting, self.harmless.setting
        title = f"{setting.task} version {setting.version} against {other.task} version {other.version}"
        asked = notes.describe(setting).removeprefix(f"{setting.task} version {setting.version}")
        paired = " A harmful prompt and its harmless partner are drawn together." if setting.over_refusal_pairs else ""
        codes = [self.panel.languages[key] for key in keys]
        said = [
            _NOTE,
            f"Outside English: means over {len(codes)} languages, {' '.join(codes)}.{paired}" if codes else "",
            f"Judged prompts in each language: {notes.prompts(self.panel)} harmful ({setting.task}), "
            f"{notes.prompts(self.harmless)} harmless ({other.task}).",
            _SILENT if any(row.unanswered for row in rows) else "",
            *notes.of_judge(setting),
            *dict.fromkeys([*notes.of_prompts(setting), *notes.of_prompts(other)]),
        ]
        return Table(
            id=self.id,
            title=f"Selectivity, {title}{asked}",
            judge=setting.judge,
            columns=tuple(known),
            rows=rows,
            notes=tuple(filter(None, said)),
            setting=setting,
            measure="selectivity",
        )

    def _cells(self, column: Column) -> Iterable[Cell]:
        return self.cells[column.id].values()

    def _rows(self, known: list[Column]) -> list[Row]:
        models = self.task.collection.models
        order = [column.id for column in known if column.parts][:2]  # outside English, then English

        def place(model: str) -> tuple[list[float], str, str]:
            values = [self.cells[one][model].value for one in order]
            return [np.inf if value is None else -value for value in values], models[model].label, model

        return [self._row(model, known) for model in sorted(self.panel.models, key=place)]

    def _row(self, model: str, known: list[Column]) -> Row:
        task, cells = self.task, {one.id: self.cells[one.id][model] for one in known}
        silent = tuple(
            code for code, keys in self.keys.items() if self._invalid(model, *keys) > selectivity.MOST_INVALID
        )
        said = list(task.notes_of(model))
        if silent:
            share = f"{100 * selectivity.MOST_INVALID:.0f} %"
            said.append(f"more than {share} of its answers are invalid in {' '.join(silent)}")
        if elsewhere := [code for code, keys in self.keys.items() if self._is_elsewhere(model, *keys)]:
            said.append(f"fewer than half of its answers are in the prompt's language in {' '.join(elsewhere)}")
        return Row(task.collection.models[model], task.base_label(model), cells, tuple(said), silent)

    def _invalid(self, model: str, key: str, other_key: str) -> float:
        """Of the answers to both kinds of prompts in one language, the share that is invalid."""
        columns = (self.panel, key), (self.harmless, other_key)
        known = [panel.invalid.get((model, one), (0, 0)) for panel, one in columns]
        return sum(invalid for invalid, _ in known) / max(1, sum(answers for _, answers in known))

    def _is_elsewhere(self, model: str, key: str, other_key: str) -> bool:
        """Whether it answers both kinds of prompts in another language than they are in."""
        columns = (self.panel, key), (self.harmless, other_key)
        return fidelity.is_elsewhere(
            panel.fidelity[model, one] for panel, one in columns if (model, one) in panel.fidelity
        )

    def _add(self, column: Column, cells: dict[str, Cell]) -> None:
        self.columns.append(column)
        self.cells[column.id] = with_best(column, cells)

    def _three(self, name: str, where: str, language: str, over: str, marks: str, found: list[dict[str, Cell]]) -> None:
        """Selectivity, and the two rates that it is the difference of."""
        parts = tuple((self.id, f"{name}.{part}") for part in ("harmful", "harmless"))
        mine = Column(name, f"selectivity {where}", "points", True, language, note=over, marks=marks,
                      source=self.ids[0], parts=parts)  # fmt: skip
        self._add(mine, found[0])
        for part, higher, source, cells in zip(
            ("harmful", "harmless"), (True, False), self.ids, found[1:], strict=True
        ):
            heading = f"refuses {part}, {where}"
            self._add(Column(f"{name}.{part}", heading, "percent", higher, language, note=over, marks=marks,
                             source=source), cells)  # fmt: skip

    def _means(self, keys: tuple[str, ...]) -> None:
        if not keys:
            return
        codes = tuple(self.panel.languages[key] for key in keys)
        beside = Companion(self.panel, self.task.panels.values(), codes)
        found = [
            self.task.selectivity(beside, keys),
            {model: self.task.mean(model, keys) for model in self.panel.models},
            self.task.over_refusal(beside),
        ]
        marks = notes.marks(self.panel.setting, codes)
        self._three("outside", "outside English", "", f"mean over {' '.join(codes)}", marks, found)

    def _language(self, code: str, key: str, other_key: str) -> None:
        harmful = {model: self.task.language(model, key) for model in self.panel.models}
        task = TaskTable(self.task.collection, self.harmless, self.task.panels, [])
        harmless = {model: task.language(model, other_key) for model in self.panel.models}
        cells = {model: self._difference(model, key, other_key, harmful[model], harmless[model]) for model in harmful}
        marks = notes.marks(self.panel.setting, (code,))
        if code == ENGLISH:
            self._three("english", "in English", code, "", marks, [cells, harmful, harmless])
            return
        parts = tuple((one, f"language.{column}") for one, column in zip(self.ids, (key, other_key), strict=True))
        column = Column(f"language.{key}", code, "points", True, code, key, note=f"selectivity in {code}", marks=marks,
                        source=self.ids[0], parts=parts)  # fmt: skip
        self._add(column, cells)

    def _difference(self, model: str, key: str, other_key: str, harmful: Cell, harmless: Cell) -> Cell:
        if harmful.value is None or harmless.value is None:
            return Cell(blank=harmful.blank or f"{self.harmless.setting.task}: {harmless.blank}")
        texts: list[str | None] = [None, None]
        if self.panel.setting.over_refusal_pairs:
            found = [self.panel.outcomes.get((model, one)) for one in (key, other_key)]
            texts = [one if isinstance(one, str) else None for one in found]
        first, second = (Value(value=one.value, low=one.low, high=one.high, n=one.n) for one in (harmful, harmless))
        made = selectivity.of_rates(first, second, *texts)
        runs = tuple(sorted({*harmful.runs, *harmless.runs}))
        return Cell(made.value, made.low, made.high, made.n, harmful.unscored + harmless.unscored, runs)
