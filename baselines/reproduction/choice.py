"""Which settings a method is trained with: the rule of docs/reproduction.md, on records of development pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlc_bench.records import selectivity
from mlc_bench.records.record import RunRecord


def score(run: RunRecord, fidelity: float = 0.0) -> float | None:
    """Selectivity on the development pairs, averaged over languages; None where the model does not answer in one.

    `fidelity`: the least share of answers in the prompt's language, in each language; below it there is no score.
    """
    mean, silent = _development(run)
    return None if silent or least_fidelity(run) < fidelity else mean


def _development(run: RunRecord) -> tuple[float | None, list[str]]:
    """Selectivity averaged over the languages, None where one has none, and those in which the model hardly answers."""
    (found,) = selectivity.of_record(run)
    values = [row.difference.value for row in found.languages.values()]
    known = [value for value in values if value is not None]
    silent = [code for code, row in found.languages.items() if not selectivity.is_answered(row)]
    return sum(known) / len(known) if len(known) == len(values) else None, silent


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


def as_rows(
    candidates: Sequence[Mapping[str, Any]], runs: Mapping[int, RunRecord], fidelity: float = 0.0
) -> list[list[str]]:
    """A row for each candidate that was tried, for the report's table: settings, what it scored, whether it is chosen.

    Nothing is chosen before all are tried. `runs` and `fidelity`: as in `best`. The columns are those of
    `leaderboard.report.document`.
    """
    is_open = len(runs) < len(candidates)
    chosen = None if is_open else best(runs, fidelity)
    return [
        _row(
            ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in candidates[place].items()),
            run,
            "not all are tried" if is_open else _why(run, fidelity) if place == chosen else "",
        )
        for place, run in sorted(runs.items())
    ]


def untrained_row(run: RunRecord) -> list[str]:
    """The row of the model before any training, which the candidates are held against."""
    return _row("as released", run, "")


def _row(setting: str, run: RunRecord, chosen: str) -> list[str]:
    mean, silent = _development(run)
    score = "none" if mean is None else f"{100 * mean:+.1f}"
    return [setting, score, " ".join(silent), f"{100 * least_fidelity(run):.0f}", chosen]


def _why(run: RunRecord, fidelity: float) -> str:
    """In a word, why this candidate is the chosen one."""
    return "yes" if score(run, fidelity) is not None else "the first, as none qualifies"
