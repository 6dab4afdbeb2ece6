"""Rows of cells with a heading as rows by column."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError

Row = dict[Any, Any]
"""A row: column -> value. Columns of a file without a heading are numbers, from 0."""


@dataclass(frozen=True)
class Table:
    """A file's rows, each with where it is (`line 3` or `row 3`), and all columns that it has, in their order."""

    columns: list[Any]
    rows: list[tuple[str, Row]]


def of_cells(path: Path, cells: Iterable[Sequence[Any]], heading: bool) -> Table:
    """A table of rows of cells, of which the first is the heading unless `heading` is false.

    With a heading, rows without any cell are left out; without one, a row's number says what it is. Raises UsageError
    for a row with more cells than the heading (or, without one, than the first row), and for a column that is there
    twice.
    """
    lines = list(cells)
    start = next((number for number, line in enumerate(lines) if _width(line)), len(lines))
    first = lines[start] if start < len(lines) else []
    width = _width(first)
    names = column_names(path, first[:width]) if heading else list(range(width))
    rows = []
    for number, line in enumerate(lines[start + 1 :] if heading else lines, 1):
        if _width(line) > len(names):
            of = "the heading" if heading else "the first row"
            raise UsageError(
                f"{path}, row {number}: {_width(line)} fields, and {of} has {len(names)}; put a text that holds the "
                "sign between fields in quotation marks"
            )
        if not heading or _width(line):
            named = zip(names, line, strict=False)
            rows.append((f"row {number}", {name: value for name, value in named if name != ""}))
    return Table([name for name in names if name != ""], rows)


def column_names(path: Path, found: Iterable[Any]) -> list[str]:
    """Names without white space around them, '' for a column without a name. UsageError for one that is there twice."""
    names = ["" if name is None else str(name).strip().strip("\ufeff").strip() for name in found]
    if twice := [name for name, count in Counter(names).items() if count > 1 and name]:
        raise UsageError(f"{path}: the column '{twice[0]}' is there twice; rename or remove one")
    return names


def _says_something(cell: Any) -> bool:
    return cell is not None and str(cell).strip() != ""


def _width(line: Sequence[Any]) -> int:
    """How many cells a row has, without the empty ones at its end."""
    return max((number for number, cell in enumerate(line, 1) if _says_something(cell)), default=0)
