"""The part of a task's results that can be compared: its columns, and the languages that averages are taken over."""

from collections import Counter, namedtuple
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from mlc_bench.leaderboard.collect import Collection, Setting
from mlc_bench.records.frame import ALL, whole_key
from mlc_bench.stats import bootstrap, measures
from mlc_bench.stats.measures import Array, Outcomes

RESAMPLES = 2000
MOST_UNSCORED = 0.05  # share of answers without a verdict above which a cell is left blank
STATISTICS = ("average", "var", "pag", "kappa")


def blocked_share(outcomes: Iterable[Outcomes | None]) -> float:
    """The share of answers that a provider blocked, of those with outcomes (of one model, by language)."""
    text = "".join(column for column in outcomes if isinstance(column, str))
    return text.count("b") / len(text) if text else 0.0


@dataclass(frozen=True)
class Entry:
    """One number of one model in one column."""

    value: float
    low: float | None
    high: float | None
    n: int
    unscored: int
    run: str


@dataclass(frozen=True)
class KeyColumn:
    """A column of one language. `heading` is the language's code, with a number where the language has several."""

    key: str
    language: str
    heading: str


class Panel:
    """All results of one setting.

    `columns` has one column for each comparability key. `chosen` are those that averages are taken over: of the sets
    of columns that single models have, the largest one that at least half of the models have all of (if there is none,
    the one that most of them have). A model that lacks one of them has no average, so that few incomplete runs neither
    move the averages of others nor are averaged over easier languages.
    """

    def __init__(self, collection: Collection, setting: Setting, frame: pd.DataFrame) -> None:
        """`frame`: the rows of this setting."""
        self.setting = setting
        self.outcomes = collection.outcomes
        one_language = frame["language"] != ALL
        headline = frame[one_language & (frame["metric"] == setting.headline)]
        self.entries: dict[tuple[str, str], Entry] = {}
        self.blanks: dict[tuple[str, str], str] = {}
        for row in _rows(headline):
            where = (row.model_id, row.key)
            if isnan(row.value):
                self.blanks[where] = "no answer has a verdict"
            elif row.unscored > MOST_UNSCORED * (row.n + row.unscored):
                self.blanks[where] = f"{row.unscored} of {row.n + row.unscored} answers without a verdict"
            else:
                self.entries[where] = _entry(row)
        unsure = _shares(frame[one_language & (frame["metric"] == "unsure_rate")])
        self.invalid = {
            where: (round(share * n), unsure.get(where, (0.0, n))[1])
            for where, (share, n) in _shares(frame[one_language & (frame["metric"] == "invalid_rate")]).items()
        }
        """(model id, key) -> how many answers are invalid, and how many there are, those with an unsure judge too."""
        self.fidelity = _shares(frame[one_language & (frame["metric"] == "language_fidelity")])
        """(model id, key) -> share of answers in the prompt's language, and of how many that can be identified."""
        self._summaries = {
            (row.model_id, row.key, row.metric): _entry(row)
            for row in _rows(frame[~one_language])
            if not isnan(row.value)
        }
        uses = Counter(key for _, key in self.entries)
        uses.update({key: 0 for _, key in self.blanks})
        languages = dict(zip(headline["key"], headline["language"], strict=True))
        self.columns = _columns(uses, languages)
        self.is_graded = any(not isinstance(self.outcomes.get(where, ""), str) for where in self.entries)
        self.is_fraction = all(0 <= entry.value <= 1 for entry in self.entries.values())
        self.languages = {column.key: column.language for column in self.columns}
        self.models = sorted({model for model, _ in [*self.entries, *self.blanks]})
        self._keys: dict[str, set[str]] = {model: set() for model in self.models}
        for model, key in self.entries:
            self._keys[model].add(key)
        self.chosen = self._choose()
        self._whole: dict[str, Array | None] = {}

    def _choose(self) -> tuple[str, ...]:
        order = {column.key: place for place, column in enumerate(self.columns)}
        sets: Counter[frozenset[str]] = Counter()
        for keys in self._keys.values():
            own: dict[str, str] = {}  # of several columns of a language the one that most models have
            for key in sorted(keys, key=order.__getitem__):
                own.setdefault(self.languages[key], key)
            sets[frozenset(own.values())] += 1
        sets.pop(frozenset(), None)
        if not sets:
            return ()

        def merit(keys: frozenset[str]) -> tuple[int, int, int, list[str]]:
            covering = sum(count for other, count in sets.items() if keys <= other)
            is_common = 2 * covering >= sets.total()
            return -len(keys) if is_common else 0, -covering, -len(keys), sorted(keys)

        chosen: frozenset[str] = min(sets, key=merit)
        return tuple(sorted(chosen, key=order.__getitem__))

    def keys_of(self, languages: tuple[str, ...]) -> tuple[str, ...]:
        """The most used column of each language; () where one has no column."""
        first: dict[str, str] = {}
        for column in self.columns:
            first.setdefault(column.language, column.key)
        return tuple(first[code] for code in languages) if all(code in first for code in languages) else ()

    def missing(self, model: str, keys: tuple[str, ...]) -> list[str]:
        """The languages of those columns in which a model has no number."""
        return [self.languages[key] for key in keys if (model, key) not in self.entries]

    def matrix(self, model: str, keys: tuple[str, ...]) -> Array | None:
        """prompts x columns; None where a record has no outcomes, or the rows of two columns do not belong together."""
        if self.setting.parallel and set(keys) <= set(self.chosen):  # cut from the whole one, which is made once
            if model not in self._whole:
                self._whole[model] = self._matrix(model, self.chosen)
            whole = self._whole[model]
            if whole is not None:
                return whole if keys == self.chosen else whole[:, [self.chosen.index(key) for key in keys]]
        return self._matrix(model, keys)

    def _matrix(self, model: str, keys: tuple[str, ...]) -> Array | None:
        strings = [text for key in keys if (text := self.outcomes.get((model, key))) is not None]
        if len(strings) < len(keys) or (self.setting.parallel and len({len(text) for text in strings}) > 1):
            return None
        return measures.outcome_matrix(strings, parallel=self.setting.parallel)

    def summary(self, model: str, keys: tuple[str, ...], metric: str) -> Entry | None:
        """What a record itself says over exactly these columns (for records without outcomes)."""
        return self._summaries.get((model, whole_key(keys), metric))

    @cached_property
    def sample(self) -> "Sample":
        return Sample(self, self.chosen, STATISTICS if len(self.chosen) > 1 else ("average",))


class Sample:
    """Paired replicates of the models that have outcomes in all of the given columns.

    `values` and `replicates` map the name of a statistic to arrays of shape (models,) and (models, resamples), in the
    order of `models`.
    """

    def __init__(self, panel: Panel, keys: tuple[str, ...], statistics: tuple[str, ...] = ("average",)) -> None:
        self.keys = keys
        self.models: list[str] = []
        matrices: list[Array] = []
        for model in panel.models:
            if keys and not panel.missing(model, keys) and (matrix := panel.matrix(model, keys)) is not None:
                self.models.append(model)
                matrices.append(matrix)
        self.index = {model: place for place, model in enumerate(self.models)}
        self.judged = [measures.judged_prompts(matrix) for matrix in matrices]
        self.values: dict[str, Array] = {name: np.empty(0) for name in statistics}
        self.replicates: dict[str, Array] = {name: np.empty((0, RESAMPLES)) for name in statistics}
        self.intervals: dict[str, Array] = {name: np.empty((0, 2)) for name in statistics}
        if matrices:
            self.values = measures.Sums(np.stack(matrices), graded=panel.is_graded).statistics(None, statistics)
            self.replicates = _replicates(matrices, statistics, panel.is_graded)
            self.intervals = {name: self._interval(name) for name in statistics}

    @property
    def prompts(self) -> int:
        """The prompts with a verdict, of the model that has the fewest."""
        return min(self.judged, default=0)

    def bounds(self, name: str, place: int) -> tuple[float | None, float | None]:
        """The bootstrap interval; Wilson's where all verdicts are equal, which leave the bootstrap nothing to vary."""
        low, high = finite(self.intervals[name][place])
        if low is not None and low == high:
            value = float(self.values[name][place])
            return finite(np.array(measures.equal_interval(value, self.judged[place])))
        return low, high

    def _interval(self, name: str) -> Array:
        """(models, 2). That of Var is corrected for bias and cut as `bootstrap.summary` does it."""
        if name != "var":
            return bootstrap.interval(self.replicates[name])
        values = self.values[name]
        low, high = bootstrap.interval(self.replicates[name], estimate=values).T
        return np.stack([np.minimum(low.clip(min=0.0), values), np.maximum(high.clip(max=25.0), values)], axis=1)


def finite(bounds: Array) -> tuple[float | None, float | None]:
    """An interval, with None for an end that is not defined."""
    low, high = (float(bound) if np.isfinite(bound) else None for bound in bounds)
    return low, high


def _replicates(matrices: list[Array], statistics: tuple[str, ...], graded: bool) -> dict[str, Array]:
    if statistics == ("average",) and len(matrices[0]) > 1 and not any(np.isnan(matrix).any() for matrix in matrices):
        hits = np.array([matrix.sum(axis=1) for matrix in matrices])  # whole numbers: sums of them are exact
        return {"average": bootstrap.paired_means(hits, resamples=RESAMPLES) / matrices[0].shape[1]}
    return bootstrap.paired_bootstrap(matrices, statistics, resamples=RESAMPLES, graded=graded)


def _columns(uses: Counter[str], languages: dict[str, str]) -> list[KeyColumn]:
    """English first, then by code; of one language the column that most models have first."""
    ordered = sorted(uses, key=lambda key: (languages[key] != "en", languages[key], -uses[key], key))
    several = Counter(languages[key] for key in ordered)
    places: Counter[str] = Counter()
    columns = []
    for key in ordered:
        code = languages[key]
        places[code] += 1
        columns.append(KeyColumn(key, code, f"{code} ({places[code]})" if several[code] > 1 else code))
    return columns


def _rows(frame: pd.DataFrame) -> Iterable[Any]:
    """The rows as namedtuples of plain objects, which is ten times as fast from lists as by `itertuples`."""
    row = namedtuple("row", frame.columns)  # type: ignore[misc]
    return map(row._make, zip(*(frame[name].tolist() for name in frame.columns), strict=True))


def _shares(frame: pd.DataFrame) -> dict[tuple[str, str], tuple[float, int]]:
    return {(row.model_id, row.key): (row.value, row.n) for row in _rows(frame) if not isnan(row.value)}


def _entry(row: Any) -> Entry:
    low, high = (None if isnan(bound) else bound for bound in (row.low, row.high))
    return Entry(row.value, low, high, row.n, row.unscored, row.run)


def companion_of(mine: Setting, panels: Iterable[Panel]) -> Panel | None:
    """The over-refusal of a safety task: the newest of its companion's panels with the same judge and settings."""
    candidates = [
        panel
        for panel in panels
        if panel.setting.task == mine.over_refusal_task
        and panel.setting.measures == "over_refusal"
        and panel.setting.judge_digest == mine.judge_digest
        and panel.setting.generation == mine.generation
        and panel.setting.system_prompt == mine.system_prompt
    ]
    return max(candidates, key=lambda panel: (panel.setting.version, panel.setting.id), default=None)
