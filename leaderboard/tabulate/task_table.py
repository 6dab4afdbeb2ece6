"""The table of one task in one setting: a row for each model, a column for each language, then what holds over them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from mlc_bench.core.spec import slug
from mlc_bench.leaderboard.collect import Collection, Setting
from mlc_bench.leaderboard.tabulate import notes
from mlc_bench.leaderboard.tabulate.cells import NOT_RUN, Cell, Column, Row, Table, Unit
from mlc_bench.leaderboard.tabulate.companion import Companion, difference
from mlc_bench.leaderboard.tabulate.comparable import Entry, Panel, Sample, blocked_share, finite
from mlc_bench.leaderboard.tabulate.ranks import p_value, ranks, with_best
from mlc_bench.records.counts import shown
from mlc_bench.stats import bootstrap, measures
from mlc_bench.stats.significance import holm

NO_OUTCOMES = "the record has no outcomes (schema 1)"


class TaskTable:
    """Makes the table of one panel."""

    def __init__(self, collection: Collection, panel: Panel, panels: dict[str, Panel], utilities: list[Panel]) -> None:
        self.collection = collection
        self.panel = panel
        self.panels = panels
        self.utilities = utilities if panel.setting.measures == "safety" else []
        self.higher = panel.setting.higher_is_better
        self.percent: Unit = "percent" if panel.is_fraction else "number"
        self.points: Unit = "points" if panel.is_fraction else "number"
        self.measure = panel.setting.headline if panel.is_graded else shown(panel.setting.headline)
        self.gain = "gain" if self.higher else "change"
        self.keys = panel.chosen
        self.codes = tuple(panel.languages[key] for key in self.keys)
        self.behind: dict[tuple[str, tuple[str, ...], tuple[str, ...]], tuple[Any, ...]] = {}
        self.samples: dict[tuple[str, tuple[str, ...]], Sample] = {}

    def table(self) -> Table:
        setting = self.panel.setting
        columns: list[Column] = []
        cells: dict[str, dict[str, Cell]] = {}

        def add(column: Column, found: dict[str, Cell]) -> None:
            columns.append(column)
            cells[column.id] = with_best(column, found)

        for key_column in self.panel.columns:
            name, key, code = f"language.{key_column.key}", key_column.key, key_column.language
            marks = notes.marks(setting, (code,))
            column = Column(name, key_column.heading, self.percent, self.higher, language=code, key=key, marks=marks)
            add(column, {model: self.language(model, key_column.key) for model in self.panel.models})
        averages = self._each(lambda model: self.mean(model, self.keys))
        over = f"over {' '.join(self.codes)}"
        add(Column("average", "average", self.percent, self.higher, note=f"mean {over}"), self._ranked(averages))
        add(Column("worst", "worst", self.percent, self.higher, note=f"the worst {over}"), self._each(self._worst))
        for name, heading, digits in (("var", "Var", 2), ("pag", "PAG", 3), ("kappa", "kappa", 3)):
            column = Column(name, heading, "number", None, note=over, digits=digits)
            add(column, self._each(partial(self._spread, name)))
        if setting.measures == "safety":
            companion = Companion(self.panel, self.panels.values(), self.codes)
            note = f"mean of {setting.over_refusal_task or 'no task'} {over}"
            other = "" if companion.blank else table_id(companion.panel.setting)
            column = Column("over_refusal", "over-refusal", "percent", False, note=note, source=other)
            add(column, self._ranked_over_refusal(companion))
            if setting.headline == "refusal_rate":
                note = f"refusal rate less over-refusal, {over}"
                parts = tuple((table_id(setting), name) for name in ("average", "over_refusal"))
                column = Column("selectivity", "selectivity", "points", True, note=note, parts=parts)
                add(column, self.selectivity(companion, self.keys))
        add(
            Column("gain", self.gain, self.points, self.higher, note=f"average less the base model's, {over}"),
            self._gains(None),
        )
        for part, wanted in (("seen", True), ("unseen", False)):
            note = f"mean over the languages that are {'' if wanted else 'not '}in the training data"
            add(Column(part, part, self.percent, self.higher, note=note), self._each(partial(self._part, wanted)))
            heading, less = f"{part} {self.gain}", f"{note}, less the base model's"
            add(Column(f"{part}_gain", heading, self.points, self.higher, note=less), self._gains(wanted))
        for utility in self.utilities:
            if utility.chosen:
                heading = f"utility change, {utility.setting.task}" + _which(utility, self.utilities)
                note = f"{notes.describe(utility.setting)}: average less the base model's"
                unit: Unit = "points" if utility.is_fraction else "number"
                name, source = f"utility.{utility.setting.id}", table_id(utility.setting)
                higher = utility.setting.higher_is_better
                column = Column(name, heading, unit, higher, note=note, source=source)
                add(column, self._changes(utility))
        return self._assembled(columns, cells, averages)

    def _assembled(self, columns: list[Column], cells: dict[str, dict[str, Cell]], averages: dict[str, Cell]) -> Table:
        setting = self.panel.setting
        columns = [
            column
            for column in columns
            if column.id not in ("seen", "unseen", "seen_gain", "unseen_gain")
            or any(cell.value is not None for cell in cells[column.id].values())
        ]

        def place(model: str) -> tuple[float, float, str, str]:
            cell = cells["average"][model]
            rank = float(cell.rank[0]) if cell.rank else np.inf
            value = np.inf if cell.value is None else -cell.value if self.higher else cell.value
            return rank, value, self.collection.models[model].label, model

        rows = [
            Row(
                self.collection.models[model],
                self.base_label(model),
                {one.id: cells[one.id][model] for one in columns},
                self.notes_of(model),
            )
            for model in sorted(self.panel.models, key=place)
        ]
        said = [
            f"{notes.describe(setting)}: {self.measure}; settings {setting.generation}",
            f"Averages are over {len(self.codes)} languages: {' '.join(self.codes)}." if self.codes else "No averages.",
            f"Prompts in each language: {notes.prompts(self.panel)}.",
            *notes.of_judge(setting),
            *notes.of_prompts(setting),
        ]
        if not setting.parallel:
            said.append("Prompts are not translations of each other: PAG and kappa are not defined.")
        return Table(
            id=table_id(setting),
            title=notes.describe(setting),
            judge=setting.judge,
            columns=tuple(columns),
            rows=tuple(rows),
            notes=tuple(said),
            setting=setting,
            measure=self.measure,
        )

    def _each(self, make: Callable[[str], Cell]) -> dict[str, Cell]:
        return {model: make(model) for model in self.panel.models}

    def _baseless(self, model: str) -> str:
        known = self.collection.models[model].base_name
        return "its base model is not among the records" if known else "not trained from a known model"

    def base_label(self, model: str) -> str:
        """Of the base model's row; empty where it has none."""
        base = self.collection.models[model].base
        return self.collection.models[base].label if base else ""

    def notes_of(self, model: str) -> tuple[str, ...]:
        """What a reader must know of a model's numbers here."""
        known, setting = self.collection.models[model], self.panel.setting
        notes = []
        if blocked := blocked_share(self.collection.outcomes.get((model, key)) for key in self.keys):
            notes.append(f"blocked by the provider, and counted as refusals: {100 * blocked:.1f} %")
        if known.is_trained and not {setting.task, setting.pack} & set(known.kept_out):
            notes.append(f"training data not checked for prompts of {setting.task}")
        return tuple(notes)

    def language(self, model: str, key: str) -> Cell:
        """The headline in one column."""
        entry = self.panel.entries.get((model, key))
        if entry is not None:
            return _cell(entry)
        if reason := self.panel.blanks.get((model, key)):
            return Cell(blank=reason)
        code = self.panel.languages[key]
        others = [one for one in self.panel.columns if one.language == code and (model, one.key) in self.panel.entries]
        if others:
            return Cell(blank=f"run with other data: see {others[0].heading}")
        return Cell(blank=NOT_RUN)

    def _incomplete(self, model: str, keys: tuple[str, ...] | None = None) -> str:
        keys = self.keys if keys is None else keys
        missing = self.panel.missing(model, keys)
        return f"incomplete: no {' '.join(missing)}" if missing else "" if keys else "no complete language"

    def _over(self, model: str, keys: tuple[str, ...], value: float, low: float | None, high: float | None) -> Cell:
        """A number over several columns of a model."""
        return Cell(value, low, high, *self._about(self.panel, (model,), keys))

    def _about(self, panel: Panel, models: tuple[str, ...], keys: tuple[str, ...]) -> tuple[Any, ...]:
        """The rest of a cell: n, unscored and runs of the numbers behind it, no blank, best, rank or p, the languages.

        Several cells of a row are over the same columns.
        """
        about = panel.setting.id, models, keys
        if about not in self.behind:
            entries = [panel.entries[model, key] for model in models for key in keys]
            runs = tuple(sorted({entry.run for entry in entries}))
            codes = tuple(panel.languages[key] for key in keys)
            unscored = sum(entry.unscored for entry in entries)
            self.behind[about] = max(entry.n for entry in entries), unscored, runs, "", False, None, None, codes
        return self.behind[about]

    def _mean(self, model: str, keys: tuple[str, ...], sample: Sample) -> Cell:
        """The mean over columns that the model has all of; without outcomes the interval is the record's own."""
        if model in sample.index:
            place = sample.index[model]
            value = float(sample.values["average"][place])
            return self._over(model, keys, value, *sample.bounds("average", place))
        value = float(np.mean([self.panel.entries[model, key].value for key in keys]))
        own = self.panel.summary(model, keys, "average")
        return self._over(model, keys, value, own.low if own else None, own.high if own else None)

    def _ranked(self, averages: dict[str, Cell]) -> dict[str, Cell]:
        sample = self.panel.sample
        found = ranks(sample.values["average"], sample.replicates["average"], sample.prompts, self.higher)
        places = {model: (int(low), int(high)) for model, (low, high) in zip(sample.models, found, strict=True)}
        return {model: replace(cell, rank=places.get(model)) for model, cell in averages.items()}

    def _worst(self, model: str) -> Cell:
        if blank := self._incomplete(model):
            return Cell(blank=blank)
        pick = min if self.higher else max
        key = pick(self.keys, key=lambda key: (self.panel.entries[model, key].value, self.panel.languages[key]))
        return _cell(self.panel.entries[model, key], (self.panel.languages[key],))

    def _spread(self, name: str, model: str) -> Cell:
        if blank := self._incomplete(model):
            return Cell(blank=blank)
        if len(self.keys) < 2:
            return Cell(blank="one language")
        if name != "var" and not self.panel.setting.parallel:
            return Cell(blank="prompts are not translations of each other")
        if self.panel.is_graded and (name != "var" or not self.panel.is_fraction):
            return Cell(blank="not defined for scores" + (" that are not fractions" if name == "var" else ""))
        sample = self.panel.sample
        if model in sample.index:
            place = sample.index[model]
            value = float(sample.values[name][place])
            if np.isnan(value):
                return Cell(blank="not defined: all verdicts are equal")
            low, high = finite(sample.intervals[name][place])
            if low == high:  # all verdicts are equal: the bootstrap had nothing to vary, which says nothing
                low = high = None
            return self._over(model, self.keys, value, low, high)
        own = self.panel.summary(model, self.keys, name)
        if own is not None:
            return self._over(model, self.keys, own.value, own.low, own.high)
        if name == "var":
            rates = [self.panel.entries[model, key].value for key in self.keys]
            return self._over(model, self.keys, float(measures.language_variance(rates)), None, None)
        return Cell(blank=NO_OUTCOMES)

    def _part_keys(self, model: str, seen: bool) -> tuple[str, ...]:
        known = self.collection.models[model].seen
        if known is None:
            return ()
        return tuple(key for key in self.keys if (self.panel.languages[key] in known) == seen)

    def _sample(self, keys: tuple[str, ...]) -> Sample:
        if keys == self.keys:
            return self.panel.sample
        if ("", keys) not in self.samples:
            self.samples["", keys] = Sample(self.panel, keys)
        return self.samples["", keys]

    def _part(self, seen: bool, model: str) -> Cell:
        if self.collection.models[model].seen is None:
            return Cell(blank="training languages not known")
        if blank := self._incomplete(model):
            return Cell(blank=blank)
        keys = self._part_keys(model, seen)
        if not keys:
            return Cell(blank=f"all languages are {'unseen' if seen else 'seen'}")
        return self._mean(model, keys, self._sample(keys))

    def _gains(self, seen: bool | None) -> dict[str, Cell]:
        """Gain over the base model, on all languages of the averages or on the seen or unseen ones of each model."""
        pairs: dict[str, tuple[str, ...]] = {}
        cells: dict[str, Cell] = {}
        for model in self.panel.models:
            base = self.collection.models[model].base
            if base is None:
                cells[model] = Cell(blank=self._baseless(model))
                continue
            keys = self.keys if seen is None else self._part_keys(model, seen)
            if blank := self._incomplete(model) or ("" if keys else "training languages not known, or none such"):
                cells[model] = Cell(blank=blank)
            elif base not in self.panel.models or self.panel.missing(base, keys):
                cells[model] = Cell(blank="the base model was not run here, or is incomplete")
            else:
                pairs[model] = keys
        return cells | self._paired(pairs, self.panel, self._sample)

    def _changes(self, utility: Panel) -> dict[str, Cell]:
        """Change of a utility task's average against the base model."""
        pairs: dict[str, tuple[str, ...]] = {}
        cells: dict[str, Cell] = {}
        for model in self.panel.models:
            base = self.collection.models[model].base
            if base is None:
                cells[model] = Cell(blank=self._baseless(model))
                continue
            lacking = [
                who
                for who, one in (("the model", model), ("the base model", base))
                if one not in utility.models or utility.missing(one, utility.chosen)
            ]
            if lacking:
                cells[model] = Cell(
                    blank=f"{utility.setting.task} was not run on all languages with {' and '.join(lacking)}"
                )
            else:
                pairs[model] = utility.chosen
        return cells | self._paired(pairs, utility, lambda _: utility.sample)

    def _paired(
        self, pairs: dict[str, tuple[str, ...]], panel: Panel, sample_of: Callable[[tuple[str, ...]], Sample]
    ) -> dict[str, Cell]:
        """Model less base, for each model with its columns; p-values corrected over all of them together."""
        cells: dict[str, Cell] = {}
        p_values: dict[str, float] = {}
        groups: dict[tuple[str, ...], list[str]] = {}
        for model, keys in pairs.items():
            groups.setdefault(keys, []).append(model)
        for keys, models in groups.items():
            sample: Sample = sample_of(keys)
            bases = {model: self.collection.models[model].base or "" for model in models}
            both = [model for model in models if model in sample.index and bases[model] in sample.index]
            if both:
                theirs, mine = (
                    [matrix for one in who if (matrix := panel.matrix(one, keys)) is not None]
                    for who in ([bases[model] for model in both], both)
                )
                found = bootstrap.paired_differences(theirs, mine, graded=panel.is_graded)
                p = p_value(found.value, found.replicates.std(axis=1, ddof=1), found.n)
                bounds = np.stack([found.low, found.high], axis=1)
            for place, model in enumerate(both):
                cells[model] = self._gain(model, panel, keys, float(found.value[place]), *finite(bounds[place]))
                p_values[model] = float(p[place])
            for model in set(models) - set(both):
                value = np.mean([panel.entries[model, k].value - panel.entries[bases[model], k].value for k in keys])
                cells[model] = self._gain(model, panel, keys, float(value), None, None)
        adjusted = holm(np.array(list(p_values.values())))
        return cells | {model: replace(cells[model], p=float(p)) for model, p in zip(p_values, adjusted, strict=True)}

    def _gain(
        self, model: str, panel: Panel, keys: tuple[str, ...], value: float, low: float | None, high: float | None
    ) -> Cell:
        base = self.collection.models[model].base or ""
        return Cell(value, low, high, *self._about(panel, (model, base), keys))

    def mean(self, model: str, keys: tuple[str, ...]) -> Cell:
        """The headline over columns of the averages."""
        if blank := self._incomplete(model, keys):
            return Cell(blank=blank)
        return self._mean(model, keys, self._sample(keys))

    def over_refusal(self, companion: Companion) -> dict[str, Cell]:
        """The average of the companion task, by model."""
        if companion.blank:
            return self._each(lambda _: Cell(blank=companion.blank))
        other, sample = TaskTable(self.collection, companion.panel, self.panels, []), companion.sample

        def cell(model: str) -> Cell:
            if missing := companion.missing(model):
                return Cell(blank=missing)
            return other._mean(model, companion.keys, sample)

        return self._each(cell)

    def _ranked_over_refusal(self, companion: Companion) -> dict[str, Cell]:
        averages = self.over_refusal(companion)
        if companion.blank:
            return averages
        sample = companion.sample
        found = ranks(sample.values["average"], sample.replicates["average"], sample.prompts, higher_is_better=False)
        places = {model: (int(low), int(high)) for model, (low, high) in zip(sample.models, found, strict=True)}
        return {model: replace(one, rank=places.get(model)) for model, one in averages.items()}

    def selectivity(self, companion: Companion, keys: tuple[str, ...]) -> dict[str, Cell]:
        """Refusal of harmful less refusal of harmless prompts by model, both averages over the same languages."""

        def cell(model: str) -> Cell:
            if blank := self._incomplete(model, keys) or companion.missing(model):
                return Cell(blank=blank)
            paired = self.panel.setting.over_refusal_pairs
            found = difference(self._sample(keys), companion.sample, model, paired)
            if found is None or found.value is None:
                return Cell(blank=NO_OUTCOMES)
            return self._over(model, keys, found.value, found.low, found.high)

        return self._each(cell)


def table_id(setting: Setting) -> str:
    """Of the table of one task in one setting; it is the name of its files."""
    return "-".join(filter(None, (setting.task, slug(setting.judge), setting.id)))


def _which(panel: Panel, panels: list[Panel]) -> str:
    """What tells a panel from another of the same task."""
    several = sum(other.setting.task == panel.setting.task for other in panels) > 1
    return f" {panel.setting.id[:4]}" if several else ""


def _cell(entry: Entry, languages: tuple[str, ...] = ()) -> Cell:
    return Cell(entry.value, entry.low, entry.high, entry.n, entry.unscored, (entry.run,), languages=languages)
