"""Which settings a method is trained with: the rule of docs/reproduction.md, on records of development pairs."""

from collections.abc import Mapping
from typing import Any

from mlc_bench.records.record import RunRecord
from mlc_bench.records.selectivity import is_answered


def score(run: RunRecord, fidelity: float = 0.0) -> float | None:
    """Selectivity on the development pairs, averaged over languages; None where the model does not answer in one.

    `fidelity`: the least share of answers in the prompt's language, in each language; below it there is no score.
    """
    (found,) = run.selectivity
    rows = found.languages.values()
    values = [row.difference.value for row in rows]
    if not all(map(is_answered, rows)) or any(value is None for value in values) or least_fidelity(run) < fidelity:
        return None
    return sum(value or 0.0 for value in values) / len(values)


def least_fidelity(run: RunRecord) -> float:
    """The share of answers in the prompt's language where it is lowest, of all languages and tasks."""
    found = [result.metrics.get("language_fidelity") for task in run.tasks for result in task.languages.values()]
    return min((one.value for one in found if one is not None and one.value is not None), default=1.0)


def best(runs: Mapping[int, RunRecord], fidelity: float = 0.0) -> int:
    """The candidate with the highest score, of equal ones the first; where none has a score, the first of all.

    `runs`: the record of each candidate, by its place in the protocol's list; `fidelity` as in `score`.
    """
    scores = {place: found for place, run in sorted(runs.items()) if (found := score(run, fidelity)) is not None}
    return max(scores, key=lambda place: scores[place]) if scores else min(runs)


def words(candidate: Mapping[str, Any], runs: Mapping[int, RunRecord], chosen: int) -> str:
    """The chosen settings, and what each candidate scored, for the report."""
    said = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in candidate.items())
    shown = "; ".join(_scored(run) for _, run in sorted(runs.items()))
    return f"{said} (number {chosen + 1} of {len(runs)}: {shown})"


def _scored(run: RunRecord) -> str:
    value = score(run)
    said = "does not answer" if value is None else f"{100 * value:+.1f}"
    return f"{said}, {100 * least_fidelity(run):.0f} % in the language"
