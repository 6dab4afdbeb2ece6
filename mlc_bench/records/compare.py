"""Two runs on the same prompts: do they differ by more than noise? From their records alone.

Per language: McNemar's exact test on the prompts with a verdict in both runs, and a paired bootstrap interval of the
difference. Over languages: the paired bootstrap, a prompt with all its languages drawn together. The p-values of all
languages (all tasks, all runs of one comparison) are one family under Holm's correction, those of all averages another.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.records import aggregate, compare_table, counts
from mlc_bench.records.record import RunRecord, TaskResult
from mlc_bench.stats import bootstrap, measures, significance
from mlc_bench.stats.measures import Array

ALPHA = 0.05
_OTHERS = tuple(name for name in measures.SUMMARY if name != "average")


@dataclass
class Change:
    """A number in the first and the second run, and second minus first with its 95 % interval.

    Rates are fractions; the scores of a metric that is no fraction (`TaskChange.is_fraction`) are as they are.
    """

    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None


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
    """The second run against the first."""

    first: str
    second: str
    tasks: list[TaskChange]
    left_out: list[str] = field(default_factory=list)
    conditions: list[Check] = field(default_factory=list)

    def _repr_html_(self) -> str:
        return compare_table.html(self)


def compare(runs: Sequence[RunRecord], tasks: Sequence[str] = (), seed: int = 0) -> list[Comparison]:
    """Each further run against the first, on the tasks and languages that both have (or the tasks that are named).

    StaleError where a task in a language was not asked or judged alike in both (it names the field), where a record
    holds no outcomes, and where nothing is shared. UsageError for fewer than two runs.
    """
    if len(runs) < 2:
        raise UsageError("name two runs or more; each is compared with the first")
    names = labels(runs)
    pairs = []
    for label, run in zip(names[1:], runs[1:], strict=True):
        shared, left_out = _shared(runs[0], run, tasks)
        _check_comparable(runs[0], run, shared, f"{names[0]} and {label}")
        _check_outcomes({names[0]: runs[0], label: run}, shared)
        pairs.append((label, run, shared, left_out))
    tests = [len(codes) for _, _, shared, _ in pairs for codes in shared.values()]
    alphas = ALPHA / sum(tests), ALPHA / len(tests)  # the strictest step of Holm, for what could have been seen
    found = []
    for label, run, shared, left_out in pairs:
        changes = [
            _change(_task(runs[0], name), _task(run, name), codes, alphas, seed) for name, codes in shared.items()
        ]
        found.append(Comparison(names[0], label, changes, left_out))
    changes = [change for one in found for change in one.tasks]
    _adjust([language for change in changes for language in change.languages.values()])
    _adjust(changes)
    for change in changes:
        change.reading = _reading(change)
    return found


def labels(runs: Sequence[RunRecord]) -> list[str]:
    """A short name for each run: its model and adapter, with the run's id where two would have the same name."""
    names = [run.model.name + (f" + {run.model.adapter.name}" if run.model.adapter else "") for run in runs]
    return [f"{name} ({run.run_id})" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]


def _task(run: RunRecord, name: str) -> TaskResult:
    return next(task for task in run.tasks if task.name == name)


def _shared(first: RunRecord, second: RunRecord, wanted: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Languages by task that both runs have, and what only one of them has."""
    have = [{task.name: task for task in run.tasks if task.status == "complete"} for run in (first, second)]
    known = have[0] | have[1]
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"neither run has the task '{unknown[0]}'; they have {', '.join(known)}")
    shared, left_out = {}, []
    for name in wanted or known:
        if not all(name in tasks for tasks in have):
            left_out.append(name)
            continue
        codes = [set(tasks[name].languages) for tasks in have]
        shared[name] = [code for code in have[0][name].languages if code in codes[1]]
        if missing := sorted(codes[0] ^ codes[1]):
            left_out.append(f"{name} in {', '.join(missing)}")
    shared = {name: codes for name, codes in shared.items() if codes}
    if not shared:
        raise StaleError("the runs have no task and language in common, so there is nothing to compare")
    return shared, left_out


def _check_outcomes(runs: dict[str, RunRecord], shared: dict[str, list[str]]) -> None:
    for label, run in runs.items():
        for name, codes in shared.items():
            if any(_task(run, name).languages[code].column is None for code in codes):
                raise StaleError(
                    f"the record of {label} holds no outcome of each prompt (an older mlc-bench wrote it); give its "
                    "`mlc-bench run` command again: the answers are kept, only judging is repeated"
                )
    for name, codes in shared.items():
        for code in codes:
            if len({len(_task(run, name).languages[code].column or "") for run in runs.values()}) > 1:
                raise StaleError(f"{' and '.join(runs)} have different numbers of prompts for {name} in {code}")


def _check_comparable(first: RunRecord, second: RunRecord, shared: dict[str, list[str]], who: str) -> None:
    reasons: dict[str, list[str]] = {}
    for name, codes in shared.items():
        for code in codes:
            results = [_task(run, name).languages[code] for run in (first, second)]
            if results[0].comparability_key != results[1].comparability_key:
                what = "; ".join(differences(_task(first, name), _task(second, name), code))
                reasons.setdefault(f"{name}: {what}", []).append(code)
    if reasons:
        (what, codes), *more = reasons.items()
        also = f" (and {len(more)} further differences)" if more else ""
        raise StaleError(
            f"{who} are not comparable on {what} [{', '.join(codes)}]{also}; run them alike, or name the tasks "
            "that are comparable with --tasks"
        )


def differences(first: TaskResult, second: TaskResult, code: str) -> list[str]:
    """Which of the fields behind the comparability key differ, each with both values but for digests."""
    fields = [_fields(task, code) for task in (first, second)]
    found = [
        key
        if key.endswith("fingerprint")
        else f"{key} {_short(fields[0].get(key))} against {_short(fields[1].get(key))}"
        for key in dict.fromkeys([*fields[0], *fields[1]])
        if fields[0].get(key) != fields[1].get(key)
    ]
    return found or ["something that one of the records does not name (an older mlc-bench wrote it)"]


def _fields(task: TaskResult, code: str) -> dict[str, Any]:
    result = task.languages[code]
    return {
        "task version": task.version,
        "data_fingerprint": result.data_fingerprint,
        "prompt_fingerprint": result.prompt_fingerprint,
        **{f"generation.{key}": value for key, value in task.generation.items()},
        **task.policy,
    }


def _short(value: Any) -> str:
    text = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{24,}\b", r"\1…", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:59] + "…"


def _change(
    first: TaskResult, second: TaskResult, codes: list[str], alphas: tuple[float, float], seed: int
) -> TaskChange:
    headline = _matrices(first, second, codes)
    graded = first.is_graded or second.is_graded
    values = bootstrap.paired_bootstrap(
        headline, _OTHERS, resamples=bootstrap.PAIRED, seed=seed, graded=graded, higher_is_better=first.higher_is_better
    )
    points = [
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
            name: _paired(points[0][name], points[1][name], values[name], biased=name in bootstrap.BIASED)
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
        p=_known(significance.bootstrap_p(average.replicates[0])),
        detectable=_known(detectable),
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
        p=_known(p),
        detectable=_known(detectable),
    )


def _of_average(found: bootstrap.Differences, place: int = 0) -> Change:
    numbers = (found.first, found.second, found.value, found.low, found.high)
    return Change(*(_known(number[place]) for number in numbers))


def _paired(first: float, second: float, replicates: Array, biased: bool) -> Change:
    """Second minus first with its interval; none where the bootstrap has nothing to vary."""
    low, high = bootstrap.interval(replicates[1] - replicates[0], estimate=second - first if biased else None)
    if low == high:
        low = high = np.float64(math.nan)
    return Change(_known(first), _known(second), _known(second - first), _known(low), _known(high))


def _adjust(changes: Sequence[LanguageChange | TaskChange]) -> None:
    adjusted = significance.holm([math.nan if change.p is None else change.p for change in changes])
    for change, p in zip(changes, adjusted, strict=True):
        change.p_holm = _known(p)


def _reading(change: TaskChange) -> str:
    """Whether it is noise, in a sentence or two."""
    name, average, scale = change.name, change.statistics["average"], 100 if change.is_fraction else 1
    if average.difference is None or average.low is None or average.high is None:
        text = f"The average {name} is not defined in both runs."
    elif change.p_holm is not None and change.p_holm < ALPHA:
        text = f"The average {name} differs by more than noise: {_points(average, scale)}, p {_p(change.p_holm)}."
    else:
        text = f"The average {name} cannot be told from noise: {_points(average, scale)}, p {_p(change.p_holm)}."
        if change.detectable is not None:
            text += f" A true difference under {scale * change.detectable:.1f} points would mostly be missed."
    without = change.statistics.get("average_invalid_excluded")
    if without and _excludes_zero(without) != _excludes_zero(average):
        text += f" With invalid answers left out it is {_points(without, scale)}."
    if (model := change.statistics.get("average_blocked_excluded")) is not None:
        text += f" With what the provider blocked left out it is {_points(model, scale)}."
    differ = [
        f"{code} {scale * language.difference:+.0f}"
        for code, language in change.languages.items()
        if language.p_holm is not None and language.p_holm < ALPHA and language.difference is not None
    ]
    one_by_one = f"differ: {', '.join(differ)}" if differ else "no difference is more than noise"
    return f"{text} One language at a time (Holm), {one_by_one}."


def _points(change: Change, scale: int) -> str:
    if change.difference is None:
        return "undefined"
    interval = (
        "" if change.low is None or change.high is None else f" [{scale * change.low:.1f}, {scale * change.high:.1f}]"
    )
    return f"{scale * change.difference:+.1f} points{interval}"


def _excludes_zero(change: Change) -> bool:
    return change.low is not None and change.high is not None and not change.low <= 0 <= change.high


def _p(p: float | None) -> str:
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _deviation(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if known.size else math.nan


def _known(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None
