"""Records as tidy pandas frames: one row for each model, task, language and metric. Rates are fractions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from mlc_bench.core.spec import digest
from mlc_bench.records.found import files as files
from mlc_bench.records.record import RunRecord, Value

NUMBERS = ("metric", "value", "low", "high", "n", "unscored")
COLUMNS = (
    "model", "adapter", "engine", "run", "task", "measures", "version", "language", *NUMBERS, "judge",
    "judge_version", "limited", "comparability_key", "record",
)  # fmt: skip
ALL = "*"  # in place of a language: the summary over the languages of a run
LARGEST = 32 << 20  # bytes of a record; one of 4 tasks in 15 languages has about 0.1 MB
_TYPES = dict.fromkeys(("version", "n", "unscored"), "int64") | dict.fromkeys(("value", "low", "high"), "float64")
_TYPES |= {"limited": "bool"}


def numbers(metrics: dict[str, Value], unscored: int) -> Iterator[tuple[Any, ...]]:
    """The columns NUMBERS of each metric."""
    for name, value in metrics.items():
        yield name, value.value, value.low, value.high, value.n, unscored


def whole_key(keys: Iterable[str]) -> str:
    """The key of a summary over several languages, from theirs."""
    return digest(sorted(keys))[:16]


def of_rows(columns: Sequence[str], rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    """A frame of rows: counts as int64, rates as float64, names as categories, also where there is no row."""
    by_name = dict(zip(columns, zip(*rows, strict=True) if rows else [()] * len(columns), strict=True))
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=_TYPES[name]) if name in _TYPES else pd.Categorical(values)
            for name, values in by_name.items()
        }
    )


def of_records(records: Iterable[tuple[str, RunRecord]]) -> pd.DataFrame:
    """The frame of (where it is, record) pairs, with the columns COLUMNS; a task that failed has no rows."""
    return of_rows(COLUMNS, [row for where, found in records for row in _rows(where, found)])


def _rows(where: str, found: RunRecord) -> Iterator[tuple[Any, ...]]:
    model = found.model
    made_by = (model.name, model.adapter.name if model.adapter else "", model.engine, found.run_id)
    for task in found.tasks:
        about = (*made_by, task.name, task.measures, task.version)
        judge = (found.judge.id, found.judge.version) if task.measures != "utility" else ("", "")
        parts = [
            (code, result.metrics, result.n_unscored, result.comparability_key)
            for code, result in task.languages.items()
        ]
        if parts:
            parts.append((ALL, task.summary, sum(part[2] for part in parts), whole_key(part[3] for part in parts)))
        for code, metrics, unscored, key in parts:
            for row in numbers(metrics, unscored):
                yield (*about, code, *row, *judge, found.limited, key, where)
