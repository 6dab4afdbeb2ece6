"""Which settings a method is trained with: the rule of docs/reproduction.md, on records of development pairs."""

from collections.abc import Mapping
from typing import Any

from mlc_bench.records.record import RunRecord
from mlc_bench.records.selectivity import is_answered


def score(run: RunRecord) -> float | None:
    """Selectivity on the development pairs, averaged over languages; None where the model does not answer in one."""
    (found,) = run.selectivity
    rows = found.languages.values()
    values = [row.difference.value for row in rows]
    if not all(map(is_answered, rows)) or any(value is None for value in values):
        return None
    return sum(value or 0.0 for value in values) / len(values)


def best(runs: Mapping[int, RunRecord]) -> int:
    """The candidate with the highest score, of equal ones the first; where none has a score, the first of all.

    `runs`: the record of each candidate, by its place in the protocol's list.
    """
    scores = {place: found for place, run in sorted(runs.items()) if (found := score(run)) is not None}
    return max(scores, key=lambda place: scores[place]) if scores else min(runs)


def words(candidate: Mapping[str, Any], runs: Mapping[int, RunRecord], chosen: int) -> str:
    """The chosen settings, and what each candidate scored, for the report."""
    said = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in candidate.items())
    scores = [score(run) for _, run in sorted(runs.items())]
    shown = ", ".join("does not answer" if one is None else f"{100 * one:+.1f}" for one in scores)
    return f"{said} (number {chosen + 1} of {len(runs)}; development selectivity: {shown})"
