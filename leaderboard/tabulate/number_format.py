"""How numbers are written, alike in every format and on every machine."""

from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from mlc_bench.leaderboard.tabulate.cells import Cell, Column

DASH = "–"


@cache
def rounded(value: float, digits: int) -> str:
    """The number with so many digits, halves away from zero. What differs past the ninth digit is noise."""
    exact = Decimal(repr(round(value, 9))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return str(abs(exact) if exact == 0 else exact)


def shown(value: float, column: Column) -> str:
    """A value in the unit of its column: a percentage, percentage points with their sign, or a plain number."""
    if column.unit == "number":
        return rounded(value, column.digits)
    text = rounded(100 * value, column.digits)
    return f"+{text}" if column.unit == "points" and Decimal(text) > 0 else text


def interval(cell: Cell, column: Column) -> str:
    """`[low, high]`, or nothing where there is none."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{shown(cell.low, column)}, {shown(cell.high, column)}]"


def rank(cell: Cell) -> str:
    """`1`, or `1–3` for a model whose rank may be any of these; nothing for one that is not ranked."""
    if cell.rank is None:
        return ""
    low, high = cell.rank
    return str(low) if low == high else f"{low}–{high}"


def heading(column: Column) -> str:
    """The column's heading with its unit and its direction. That of a language alone has no room for the unit."""
    arrow = {None: "", True: " ↑", False: " ↓"}[column.higher_is_better]
    unit = {"percent": " %", "points": " points", "number": ""}[column.unit]
    return column.heading + (arrow if column.id.startswith("language.") else unit + arrow)


@cache
def significant(value: float, digits: int = 6) -> str:
    """The number for machines: six decimals, or so many significant digits of a small p-value."""
    if digits < 6:
        return f"{value:.{digits}g}"
    return repr(float(rounded(value, 6)))
