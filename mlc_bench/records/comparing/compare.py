"""Two runs on the same prompts: do they differ by more than noise? From their records alone.

Per language: McNemar's exact test on the prompts with a verdict in both runs, and a paired bootstrap interval of the
difference. Over languages: the paired bootstrap, a prompt with all its languages drawn together. The p-values of all
languages (all tasks, all runs of one comparison) are one family under Holm's correction, those of all averages another.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mlc_bench.core.errors import UsageError
from mlc_bench.records import aggregate, counts, run_table
from mlc_bench.records.comparing import comparable, selective, table
from mlc_bench.records.comparing.changes import Change, known, points, said
from mlc_bench.records.comparing.selective import SelectivityChange
from mlc_bench.records.record import RunRecord, TaskResult
from mlc_bench.stats import bootstrap, measures, significance
from mlc_bench.stats.measures import Array

ALPHA = 0.05
_OTHERS = tuple(name for name in measures.SUMMARY if name != "average")


@dataclass
class LanguageChange(Change):
    """One language. `only_first`: prompts that are safe (refused, right; of scores: higher) in the first run only."""

    n: int
    only_first: int
    only_second: int
    p: float | None
    detectable: float | None
    p_holm: float | None = None


@dataclass
class TaskChange:
    """One task. `statistics`: by the names of `stats.SUMMARY`, and `invalid`, the invalid rate averaged over languages,
    as well as `blocked` where the provider blocked an answer.

    `worst` is the highest rate where lower is better. Where an answer is invalid, also the average in the other
    treatments.
    """

    task: str
    measures: str
    metric: str
    name: str
    is_fraction: bool
    n: int
    languages: dict[str, LanguageChange]
    statistics: dict[str, Change]
    p: float | None
    detectable: float | None
    p_holm: float | None = None
    reading: str = ""


@dataclass
class Check:
    """What became of a condition (`gate`) in one task: the change and its interval in percentage points.

    A score that is no fraction is in its own unit. `language` None: the average.
    """

    condition: str
    task: str
    language: str | None
    holds: bool
    difference: float | None
    low: float | None
    high: float | None


@dataclass
class Comparison:
    """The second run against the first.

    `judge`: who judged both, empty where no task needs one. `marks`: the signs of languages by how well it is known
    there, which `judge_notes` explain.
    """

    first: str
    second: str
    tasks: list[TaskChange]
    judge: str = ""
    marks: dict[str, str] = field(default_factory=dict)
    judge_notes: list[str] = field(default_factory=list)
    selectivity: list[SelectivityChange] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    conditions: list[Check] = field(default_factory=list)

    def _repr_html_(self) -> str:
        return table.html(self)


def compare(runs: Sequence[RunRecord], tasks: Sequence[str] = (), seed: int = 0) -> list[Comparison]:
    """Each further run against the first, on the tasks and languages that both have (or the tasks that are named).

    StaleError where a task in a language was not asked or judged alike in both (it names the field), where a record
    holds no outcomes, and where nothing is shared. UsageError for fewer than two runs.
    """
    if len(runs) < 2:
        raise UsageError("name two runs or more; each is compared with the first")
    names = comparable.labels(runs)
    pairs = []
    for label, run in zip(names[1:], runs[1:], strict=True):
        shared, left_out = comparable.shared_by(runs[0], run, tasks)
        comparable.check_comparable(runs[0], run, shared, f"{names[0]} and {label}")
        comparable.check_outcomes({names[0]: runs[0], label: run}, shared)
        pairs.append((label, run, shared, left_out))
    tests = [len(codes) for _, _, shared, _ in pairs for codes in shared.values()]
    alphas = ALPHA / sum(tests), ALPHA / len(tests)  # the strictest step of Holm, for what could have been seen
    found = []
    for label, run, shared, left_out in pairs:
        changes = [
            _change(comparable.task_of(runs[0], name), comparable.task_of(run, name), codes, alphas, seed)
            for name, codes in shared.items()
        ]
        selectivity = selective.of_runs(runs[0], run, shared, seed)
        made = Comparison(names[0], label, changes, selectivity=selectivity, left_out=left_out)
        found.append(_judged(made, runs[0], run))
    changes = [change for one in found for change in one.tasks]
    _adjust([language for change in changes for language in change.languages.values()])
    _adjust(changes)
    for change in changes:
        change.reading = _reading(change)
    selectivities = [change for one in found for change in one.selectivity]
    _adjust(selectivities)
    for one in selectivities:
        one.reading = selective.reading(one, ALPHA)
    return found


def _judged(made: Comparison, first: RunRecord, second: RunRecord) -> Comparison:
    """The comparison with its judge, by what either record knows of it."""
    codes = list(dict.fromkeys(code for one in made.tasks if one.measures != "utility" for code in one.languages))
    if codes:
        judge = first.judge.model_copy(update={"checked": [*first.judge.checked, *second.judge.checked]})
        made.judge = f"{judge.id} {judge.version}"
        made.marks = {code: sign for code in codes if (sign := run_table.marks(judge, code))}
        made.judge_notes = run_table.marks_note(judge, codes)
    return made


def _change(
    first: TaskResult, second: TaskResult, codes: list[str], alphas: tuple[float, float], seed: int
) -> TaskChange:
    headline = _matrices(first, second, codes)
    graded = first.is_graded or second.is_graded
    values = bootstrap.paired_bootstrap(
        headline, _OTHERS, resamples=bootstrap.PAIRED, seed=seed, graded=graded, higher_is_better=first.higher_is_better
    )
    rates = [
        measures.Sums(matrix, graded=graded, higher_is_better=first.higher_is_better).statistics()
        for matrix in headline
    ]
    alone = bootstrap.paired_differences(*(matrix.T[:, :, None] for matrix in headline), seed=seed, graded=graded)
    languages = {
        code: _language(headline[0][:, i], headline[1][:, i], alone, i, alphas[0], graded)
        for i, code in enumerate(codes)
    }
    average = bootstrap.paired_differences(*(matrix[None] for matrix in headline), seed=seed, graded=graded)
    invalid = [
        other - matrix for other, matrix in zip(_matrices(first, second, codes, invalid=1.0), headline, strict=True)
    ]
    statistics = {
        "average": _of_average(average),
        **{
            name: _paired(rates[0][name], rates[1][name], values[name], biased=name in bootstrap.BIASED)
            for name in _OTHERS
        },
        "invalid": _of_average(bootstrap.paired_differences(*(matrix[None] for matrix in invalid), seed=seed)),
    }
    blocked = [
        other - matrix for other, matrix in zip(headline, _matrices(first, second, codes, blocked=0.0), strict=True)
    ]
    is_blocked = any(np.nansum(matrix) for matrix in blocked)
    if is_blocked:
        pair = (matrix[None] for matrix in blocked)
        statistics["blocked"] = _of_average(bootstrap.paired_differences(*pair, seed=seed))
    if is_blocked or any(np.nansum(matrix) for matrix in invalid):
        statistics |= _treatments(first, second, codes, seed)
    n = int(average.n[0])
    if average.differ[0]:
        detectable = significance.detectable_mean(_deviation(average.replicates[0]), alphas[1])
    else:  # no verdict differs, which leaves the bootstrap nothing to vary; the prompts still are only so many
        detectable = significance.detectable(n, 0.0, alphas[1])
    return TaskChange(
        task=first.name,
        measures=first.measures,
        metric=first.headline or "",
        name=(first.headline or "") if graded else counts.shown(first.headline or ""),
        is_fraction=first.is_fraction and second.is_fraction,
        n=n,
        languages=languages,
        statistics=statistics,
        p=known(significance.bootstrap_p(average.replicates[0])),
        detectable=known(detectable),
    )


def _treatments(first: TaskResult, second: TaskResult, codes: list[str], seed: int) -> dict[str, Change]:
    """The average in the other treatments of invalid, blocked and unsure answers, by its names in a summary."""
    found = {}
    outcomes = [task.languages[code].column or "" for task in (first, second) for code in codes]
    for suffix, treatment in aggregate.treatments(first.headline or "", outcomes).items():
        if suffix:
            pair = (matrix[None] for matrix in _matrices(first, second, codes, **treatment))
            found["average" + suffix] = _of_average(bootstrap.paired_differences(*pair, seed=seed))
    return found


def _matrices(first: TaskResult, second: TaskResult, codes: list[str], **treatment: float) -> list[Array]:
    """The two matrices, with a verdict only where both runs have one."""
    matrices = [
        measures.outcome_matrix(
            [task.languages[code].column or "" for code in codes], **treatment, parallel=task.parallel
        )
        for task in (first, second)
    ]
    unjudged = np.isnan(matrices[0]) | np.isnan(matrices[1])
    return [np.where(unjudged, np.nan, matrix) for matrix in matrices]


def _language(
    a: Array, b: Array, found: bootstrap.Differences, place: int, alpha: float, graded: bool
) -> LanguageChange:
    n, replicates = int(found.n[place]), found.replicates[place]
    only_first, only_second = int((a > b).sum()), int((a < b).sum())
    if graded and found.differ[place]:  # McNemar's test knows only which way a prompt went, not how far
        p = significance.bootstrap_p(replicates)
        detectable = significance.detectable_mean(_deviation(replicates), alpha)
    else:
        p = float(significance.mcnemar(only_first, only_second)) if n else math.nan
        detectable = significance.detectable(n, (only_first + only_second) / n if n else math.nan, alpha)
    return LanguageChange(
        **vars(_of_average(found, place)),
        n=n,
        only_first=only_first,
        only_second=only_second,
        p=known(p),
        detectable=known(detectable),
    )


def _of_average(found: bootstrap.Differences, place: int = 0) -> Change:
    numbers = (found.first, found.second, found.value, found.low, found.high)
    return Change(*(known(number[place]) for number in numbers))


def _paired(first: float, second: float, replicates: Array, biased: bool) -> Change:
    """Second minus first with its interval; none where the bootstrap has nothing to vary."""
    low, high = bootstrap.interval(replicates[1] - replicates[0], estimate=second - first if biased else None)
    if low == high:
        low = high = np.float64(math.nan)
    return Change(known(first), known(second), known(second - first), known(low), known(high))


def _adjust(changes: Sequence[LanguageChange | TaskChange | SelectivityChange]) -> None:
    adjusted = significance.holm([math.nan if change.p is None else change.p for change in changes])
    for change, p in zip(changes, adjusted, strict=True):
        change.p_holm = known(p)


def _reading(change: TaskChange) -> str:
    """Whether it is noise, in a sentence or two."""
    name, average, scale = change.name, change.statistics["average"], 100 if change.is_fraction else 1
    if average.difference is None or average.low is None or average.high is None:
        text = f"The average {name} is not defined in both runs."
    elif change.p_holm is not None and change.p_holm < ALPHA:
        text = f"The average {name} differs by more than noise: {points(average, scale)}, p {said(change.p_holm)}."
    else:
        text = f"The average {name} cannot be told from noise: {points(average, scale)}, p {said(change.p_holm)}."
        if change.detectable is not None:
            text += f" A true difference under {scale * change.detectable:.1f} points would mostly be missed."
    without = change.statistics.get("average_invalid_excluded")
    if without and _excludes_zero(without) != _excludes_zero(average):
        text += f" With invalid answers left out it is {points(without, scale)}."
    if (model := change.statistics.get("average_blocked_excluded")) is not None:
        text += f" With what the provider blocked left out it is {points(model, scale)}."
    differ = [
        f"{code} {scale * language.difference:+.0f}"
        for code, language in change.languages.items()
        if language.p_holm is not None and language.p_holm < ALPHA and language.difference is not None
    ]
    one_by_one = f"differ: {', '.join(differ)}" if differ else "no difference is more than noise"
    return f"{text} One language at a time (Holm), {one_by_one}."


def _excludes_zero(change: Change) -> bool:
    return change.low is not None and change.high is not None and not change.low <= 0 <= change.high


def _deviation(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if known.size else math.nan
