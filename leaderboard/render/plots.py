"""Plots for papers, as SVG and PNG; the same tables give the same bytes with the same version of matplotlib."""

import io
import warnings
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from mlc_bench.core.spec import digest
from mlc_bench.leaderboard.redact import printable
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Leaderboard, Row, Table

MOST_MODELS = 20  # rows of a heat map and points of a scatter that can still be told apart
MOST_BARS = 6  # models side by side
LONGEST_NAME = 40
LONGEST_FILE = 220  # bytes of a plot's name
STYLE = {
    "svg.hashsalt": "mlc-bench",  # the ids inside an SVG
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name may hold dollars
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "savefig.dpi": 150,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


def files(board: Leaderboard) -> dict[str, bytes]:
    """Every plot as a file, by its name."""
    return {
        f"{name}.{kind}": content for name, figure in figures(board).items() for kind, content in render(figure).items()
    }


def figures(board: Leaderboard) -> dict[str, Figure]:
    """Heat map and bars of each task, safety against over-refusal and against each utility task, by name."""
    found = {}
    with matplotlib.rc_context(STYLE):
        for table in board.tasks:
            if any(_known(row.cells[column.id]) for row in table.rows for column in _languages(table)):
                found[f"heatmap-{table.id}"] = heat_map(table)
                found[f"bars-{table.id}"] = bars(table)
        for table in board.main:
            for safety, other in _pairs(table):
                if any(_known(row.cells[safety.id]) and _known(row.cells[other.id]) for row in table.rows):
                    found[_file_name(f"scatter-{safety.id}-{other.id}".replace(".", "-"))] = scatter(
                        table, safety, other
                    )
    return found


def _file_name(name: str) -> str:
    """The name, cut where the judges in it make it longer than a file system takes."""
    return name if len(name) <= LONGEST_FILE else f"{name[:LONGEST_FILE]}-{digest(name)[:8]}"


def render(figure: Figure) -> dict[str, bytes]:
    """The figure as SVG and PNG."""
    found = {}
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a name in a script that the font lacks
        for kind, metadata in _METADATA.items():
            file = io.BytesIO()
            figure.savefig(file, format=kind, metadata=metadata, bbox_inches="tight")
            found[kind] = file.getvalue()
    return found


def heat_map(table: Table) -> Figure:
    """Models x languages, a percentage in each cell; a blank cell is grey."""
    columns, rows = _languages(table), table.rows[:MOST_MODELS]
    figure = Figure(figsize=(2.5 + 0.5 * len(columns), 1.2 + 0.3 * len(rows)))
    axes = figure.add_subplot()
    numbers = [[_percent(row.cells[column.id]) for column in columns] for row in rows]
    good = columns[0].higher_is_better
    colours = matplotlib.colormaps["viridis" if good else "viridis_r"].with_extremes(bad="lightgrey")
    image = axes.imshow(numbers, cmap=colours, vmin=0, vmax=100, aspect="auto")
    for y, line in enumerate(numbers):
        for x, number in enumerate(line):
            if number == number:
                dark = (number < 50) == bool(good)
                axes.text(
                    x, y, number_format.rounded(number, 0), ha="center", va="center", color="white" if dark else "black"
                )
    axes.set_xticks(range(len(columns)), [column.heading for column in columns])
    axes.set_yticks(range(len(rows)), [_name(row) for row in rows])
    axes.spines[:].set_visible(False)
    axes.set_title(_title(table, rows))
    figure.colorbar(image, label=f"{_measure(table)} (%)")
    return figure


def bars(table: Table) -> Figure:
    """A group of bars for each language, with 95 % intervals; the first models of the table."""
    columns, rows = _languages(table), table.rows[:MOST_BARS]
    figure = Figure(figsize=(2 + 0.25 * len(columns) * max(2, len(rows)), 3.2))
    axes = figure.add_subplot()
    width = 0.8 / len(rows)
    for index, row in enumerate(rows):
        shown = [(x, cell) for x, column in enumerate(columns) if _known(cell := row.cells[column.id])]
        places = [x + (index - (len(rows) - 1) / 2) * width for x, _ in shown]
        cells = [cell for _, cell in shown]
        axes.bar(
            places, [_percent(cell) for cell in cells], width, label=_name(row), color=f"C{index}", yerr=_errors(cells),
            error_kw={"elinewidth": 0.8, "capsize": 1.5},
        )  # fmt: skip
    axes.set_xticks(range(len(columns)), [column.heading for column in columns])
    axes.set_ylim(0, 100)
    axes.set_ylabel(f"{_measure(table)} (%)")
    axes.set_title(_title(table, rows))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def scatter(table: Table, safety: Column, other: Column) -> Figure:
    """Each model's safety against another of its averages, both with 95 % intervals."""
    rows = [row for row in table.rows if _known(row.cells[safety.id]) and _known(row.cells[other.id])][:MOST_MODELS]
    figure = Figure(figsize=(5.5, 4))
    axes = figure.add_subplot()
    for index, row in enumerate(rows):
        x, y = row.cells[other.id], row.cells[safety.id]
        axes.errorbar(
            [_percent(x)], [_percent(y)], xerr=_errors([x]), yerr=_errors([y]), fmt="osD^v"[index // 10 % 5],
            color=f"C{index % 10}", elinewidth=0.8, markersize=5, label=_name(row),
        )  # fmt: skip
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    if other.higher_is_better is False:
        axes.invert_xaxis()  # the good corner is the upper right one in every scatter
    axes.set_xlabel(number_format.heading(other))
    axes.set_ylabel(number_format.heading(safety))
    axes.set_title(_title(table, rows))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=7)
    return figure


def _pairs(table: Table) -> list[tuple[Column, Column]]:
    """Each safety average with its over-refusal and with each utility average."""
    by_id = {column.id: column for column in table.columns}
    pairs = []
    for column in table.columns:
        over_refusal = by_id.get(column.id.removesuffix(".average") + ".over_refusal")
        if column.id.endswith(".average") and over_refusal is not None:
            pairs.append((column, over_refusal))
            pairs += [
                (column, other)
                for other in table.columns
                if other.id.endswith(".average") and other.heading.endswith("accuracy")
            ]
    return pairs


def _languages(table: Table) -> list[Column]:
    """Those with percentages: scores on a scale of their own have no axis here."""
    return [column for column in table.columns if column.language and column.unit == "percent"]


def _known(cell: Cell) -> bool:
    return cell.value is not None


def _percent(cell: Cell) -> float:
    return float("nan") if cell.value is None else 100 * cell.value


def _errors(cells: list[Cell]) -> list[list[float]]:
    """What matplotlib wants of an interval: the distances below and above, each 0 where there is none."""
    values = [cell.value or 0.0 for cell in cells]
    below = [max(0.0, 100 * (v - (v if c.low is None else c.low))) for v, c in zip(values, cells, strict=True)]
    above = [max(0.0, 100 * ((v if c.high is None else c.high) - v)) for v, c in zip(values, cells, strict=True)]
    return [below, above]


def _measure(table: Table) -> str:
    return table.measure


def _title(table: Table, rows: tuple[Row, ...] | list[Row]) -> str:
    cut = f" ({len(rows)} of {len(table.rows)} models)" if len(rows) < len(table.rows) else ""
    return printable(table.title, 80) + cut


def _name(row: Row) -> str:
    name = printable(row.model.label, LONGEST_NAME)
    return name if row.model.method in row.model.label else f"{name} ({printable(row.model.method, 20)})"
