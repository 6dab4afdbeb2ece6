"""Labels of a run's own answers, picked from a file that may hold those of several runs."""

from pathlib import Path
from typing import Any

from mlc_bench.catalog import reading
from mlc_bench.core.errors import UsageError
from mlc_bench.judges.labels.file import check
from mlc_bench.judges.labels.words import is_new, verdict_of

Row = dict[str, Any]


def own_rows(path: Path, run_id: str, tasks: set[str]) -> list[tuple[str, Row]]:
    """The rows that say something of these tasks of the run, each with where it is.

    Of the rows of `mlc-bench label` those of another run or task and the skipped ones are left out; rows with `label`
    are all meant for the run. UsageError naming the line of what is wrong, and where no row is left.
    """
    found = []
    for place, row in reading.read(path).rows:
        where = f"{path}, {place}"
        said = verdict_of(row, where)
        if is_new(row):
            check(row, where)
            if row["run_id"] != run_id or row["task"] not in tasks or said is None:
                continue
        found.append((where, row))
    if not found:
        raise UsageError(f"{path} has no label of an answer of the run {run_id}")
    return found
