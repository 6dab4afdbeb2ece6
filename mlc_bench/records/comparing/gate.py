"""A gate for releases: conditions on what changed between two runs, which a pipeline can stop a model by.

A condition is `METRIC > POINTS` or `METRIC[LANGUAGE] < POINTS`. It holds where the whole 95 % interval of the change
(second minus first) is beyond the bound, so that noise does not stop a release and a wide interval does not pass for a
measured one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mlc_bench.core.errors import UsageError
from mlc_bench.records.comparing.changes import Change
from mlc_bench.records.comparing.compare import Check, Comparison, TaskChange
from mlc_bench.records.comparing.selective import SelectivityChange

EXIT_CODE = 5
INVALID = "invalid_rate"
SELECTIVITY = "selectivity"
_AnyChange = TaskChange | SelectivityChange
_FORM = re.compile(r"([\w.,-]+?)\s*(?:\[\s*([\w-]+)\s*\])?\s*([<>])\s*([-+]?(?:\d+\.?\d*|\.\d+))")


@dataclass(frozen=True)
class Condition:
    """One condition, parsed. `bound`: percentage points, or the unit of a score that is no fraction."""

    text: str
    metric: str
    language: str | None
    above: bool
    bound: float


def parse(text: str) -> Condition:
    """A condition as it is typed. UsageError for another form."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"'{text}' is no condition; write a metric, < or >, and percentage points, as in 'over_refusal > 2' or "
            "'over_refusal[sw] > 2'"
        )
    metric, language, sign, bound = match.groups()
    return Condition(text.strip(), metric, language, sign == ">", float(bound))


def apply(conditions: Sequence[Condition], comparisons: Sequence[Comparison]) -> bool:
    """Put what became of each condition into the comparisons; whether any holds.

    A condition speaks of every task with its metric, `selectivity` of every harmful task whose harmless one is there as
    well. UsageError for a metric or a language that no comparison has.
    """
    changes = [change for one in comparisons for change in _changes(one)]
    for condition in conditions:
        _check_known(condition, changes)
    for one in comparisons:
        for condition in conditions:
            one.conditions += [
                _check(condition, change) for change in _changes(one) if _find(condition, change) is not None
            ]
    return any(check.holds for one in comparisons for check in one.conditions)


def _changes(one: Comparison) -> list[_AnyChange]:
    return [*one.tasks, *one.selectivity]


def _metric(change: _AnyChange) -> str:
    return SELECTIVITY if isinstance(change, SelectivityChange) else change.metric


def _check_known(condition: Condition, changes: Sequence[_AnyChange]) -> None:
    if any(_find(condition, change) for change in changes):
        return
    tasks = [change for change in changes if isinstance(change, TaskChange)]
    averages = [INVALID] if any(change.measures != "utility" for change in tasks) else []
    metrics = [*dict.fromkeys(map(_metric, changes)), *averages]
    if condition.metric not in metrics:
        raise UsageError(f"unknown metric '{condition.metric}' in '{condition.text}'; known: {', '.join(metrics)}")
    if condition.metric == INVALID:
        raise UsageError(f"'{condition.text}': {INVALID} is compared on average only; leave the language out")
    codes = dict.fromkeys(
        code for change in changes if _metric(change) == condition.metric for code in change.languages
    )
    raise UsageError(
        f"unknown language '{condition.language}' in '{condition.text}'; both runs have {', '.join(codes)}"
    )


def _find(condition: Condition, change: _AnyChange) -> Change | None:
    if isinstance(change, SelectivityChange):
        wanted = change.languages.get(condition.language) if condition.language else change.mean
        return wanted if condition.metric == SELECTIVITY else None
    if condition.metric == change.metric:
        return change.languages.get(condition.language) if condition.language else change.statistics["average"]
    if condition.metric == INVALID and condition.language is None and change.measures != "utility":
        return change.statistics["invalid"]
    return None


def _check(condition: Condition, change: _AnyChange) -> Check:
    found = _find(condition, change)
    assert found is not None
    if isinstance(change, SelectivityChange):
        task, is_rate = change.harmful_task, True
    else:
        task, is_rate = change.task, change.is_fraction or condition.metric == INVALID
    scale = 100 if is_rate else 1
    low, high = (None if end is None else scale * end for end in (found.low, found.high))
    if low is None or high is None:
        holds = False
    else:
        holds = low > condition.bound if condition.above else high < condition.bound
    difference = None if found.difference is None else scale * found.difference
    return Check(condition.text, task, condition.language, holds, difference, low, high)
