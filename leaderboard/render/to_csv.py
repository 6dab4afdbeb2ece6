"""Tables as CSV: one file with every number and all that belongs to it, and one as wide as each table."""

import csv
import io
from collections.abc import Iterable
from functools import cache

from mlc_bench.leaderboard.redact import printable
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Leaderboard, Table

LONG = (
    "table", "model", "method", "base_model", "engine", "column", "unit", "value", "low", "high", "n", "unscored",
    "best", "best_rank", "worst_rank", "p", "languages", "runs", "blank",
)  # fmt: skip


def long(board: Leaderboard) -> str:
    """A row for each number of each table; rates are fractions. A blank one has its reason in `blank`."""
    return sheet([LONG, *(row for table in board.tables for row in _long(table))])


def _long(table: Table) -> Iterable[tuple[object, ...]]:
    for row in table.rows:
        model = (row.model.label, row.model.method, row.base, row.model.engine)
        for column in table.columns:
            cell = row.cells[column.id]
            numbers = [number(value) for value in (cell.value, cell.low, cell.high)]
            yield (
                table.id, *model, column.heading, column.unit, *numbers,
                cell.n or "", cell.unscored, int(cell.best), *(cell.rank or ("", "")), number(cell.p, 3),
                " ".join(cell.languages), " ".join(cell.runs), cell.blank,
            )  # fmt: skip


def wide(table: Table) -> str:
    """The table as it is read: percentages and points as shown, blanks empty."""
    head = ["rank", "model", "method", "base_model", *(number_format.heading(column) for column in table.columns)]
    rows = []
    for row in table.rows:
        numbers = [
            "" if (value := row.cells[column.id].value) is None else _plain(number_format.shown(value, column))
            for column in table.columns
        ]
        average = row.cells.get("average")
        rows.append(
            [number_format.rank(average) if average else "", row.model.label, row.model.method, row.base, *numbers]
        )
    return sheet([head, *rows])


@cache
def escape(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe in front (as OWASP advises)."""
    shown = printable(text)
    return "'" + shown if shown.lstrip()[:1] in tuple("=+-@＝＋－＠|%") or shown[:1].isspace() else shown


class _Number(str):
    """Digits that we wrote ourselves."""


def _plain(number: str) -> _Number:
    return _Number(number.removeprefix("+"))


def number(value: float | None, digits: int = 6) -> _Number:
    """A number as a cell; an empty one for None."""
    return _Number("" if value is None else number_format.significant(value, digits))


def sheet(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV; texts are escaped, numbers made by `number` are not."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for row in rows:
        writer.writerow([escape(value) if type(value) is str else value for value in row])
    return file.getvalue()
