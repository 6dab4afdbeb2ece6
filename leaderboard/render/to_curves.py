"""Curves by training step as files: a CSV with every number, and a figure of each run (SVG and PNG)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import owned
from mlc_bench.leaderboard.curves import ALL, MEASURES, Curves, Point
from mlc_bench.leaderboard.redact import printable
from mlc_bench.leaderboard.render import plots, to_csv

HEAD = (
    "run", "method", "base_model", "judge", "judge_version", "step", "measure", "task", "language", "value", "low",
    "high", "n", "languages",
)  # fmt: skip
_NAMES = {
    "refusal": "refusal of harmful prompts (%)",
    "over_refusal": "refusal of harmless prompts (%)",
    "selectivity": "selectivity (points)",
    "fidelity": "in the prompt's language (%)",
    "pag": "PAG",
}
_LIMITS = {"refusal": (-2, 102), "over_refusal": (-2, 102), "fidelity": (-2, 102), "pag": (-0.02, 1.02)}
_COLUMNS = 3  # panels side by side
_SHIFT = 0.05  # of the steps: how far intervals of languages stand apart, so that none hides another


def files(every: Sequence[Curves]) -> dict[str, str | bytes]:
    """Every file by its name."""
    made: dict[str, str | bytes] = {"curves.csv": sheet(every)}
    for one in every:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"curves-{one.run}-{one.judge}-{one.judge_version}")[:100]
        made |= {f"{name}.{kind}": content for kind, content in plots.render(figure(one)).items()}
    return made


def write(every: Sequence[Curves], folder: Path) -> list[Path]:
    """Write all files, and remove what an earlier call left and these records no longer give; the paths written.

    Raises UsageError for a folder with tables of the leaderboard.
    """
    earlier = owned.listed(folder) or {}
    if others := [name for name in earlier if not name.startswith("curves")]:
        raise UsageError(f"--out '{folder}' has a leaderboard ({others[0]}); name another folder")
    return owned.write(folder, files(every), earlier)


def sheet(every: Sequence[Curves]) -> str:
    """A row a point; rates are fractions, and `languages` are those of a mean."""
    rows: list[Sequence[object]] = [HEAD]
    for one in every:
        about = (one.run, one.method, one.base, one.judge, one.judge_version)
        for point in one.points:
            numbers = [to_csv.number(end) for end in (point.value.value, point.value.low, point.value.high)]
            place = (point.step, point.measure, point.task, point.language)
            rows.append((*about, *place, *numbers, point.value.n, " ".join(point.languages)))
    return to_csv.sheet(rows)


def figure(one: Curves) -> Figure:
    """A panel for each measure of each task, a line a language with 95 % intervals, the mean in black."""
    panels: dict[tuple[str, str], list[Point]] = {}
    for point in sorted(one.points, key=lambda point: MEASURES.index(point.measure)):
        if point.value.value is not None:
            panels.setdefault((point.measure, "" if point.measure == "pag" else point.task), []).append(point)
    codes = sorted({point.language for point in one.points} - {ALL})
    palette = matplotlib.colormaps["tab10" if len(codes) <= 10 else "tab20"]
    shift = _SHIFT * max(one.steps) / max(1, len(codes))
    looks = {code: (palette(place % palette.N), shift * (place - len(codes) / 2)) for place, code in enumerate(codes)}
    columns = max(1, min(len(panels), _COLUMNS))
    rows = -(-len(panels) // columns)
    with matplotlib.rc_context(plots.STYLE):
        made = Figure(figsize=(3.6 * columns + 1.2, 2.9 * rows + 0.6), layout="constrained")
        known: dict[str, Any] = {}
        for place, ((measure, task), points) in enumerate(panels.items(), 1):
            axes = made.add_subplot(rows, columns, place)
            known |= _draw(axes, measure, points, looks)
            axes.set_title(printable(task, 40))
        made.legend(known.values(), known.keys(), loc="outside right upper", frameon=False)
        judged = f"judge {one.judge} {one.judge_version}"
        made.suptitle(printable(f"{one.method} from {one.base}, run {one.run}; {judged}; 95 % intervals", 120))
    return made


def _draw(axes: Axes, measure: str, points: list[Point], looks: dict[str, tuple[Any, float]]) -> dict[str, Any]:
    """The lines of a panel; what the figure's legend says of them. PAG has a legend of its own, by task."""
    in_percent = measure != "pag" and all(point.is_fraction for point in points)
    scale = 100 if in_percent else 1
    known: dict[str, Any] = {}
    for task, language in dict.fromkeys((point.task, point.language) for point in points):
        own = [one for one in points if (one.task, one.language) == (task, language)]
        steps = [float(one.step) for one in own]
        values = [scale * (one.value.value or 0.0) for one in own]
        low, high = ([scale * _end(one, end) for one in own] for end in ("low", "high"))
        if language == ALL:
            colour = None if measure == "pag" else "black"
            (line,) = axes.plot(steps, values, color=colour, marker="o", markersize=3, linewidth=2, zorder=3)
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
            line.set_label(printable(task, 30))
            if measure != "pag":
                differ = len({one.languages for one in own}) > 1
                known["mean, of other languages\nat some steps" if differ else "mean"] = line
        else:
            colour, shift = looks[language]
            errors = [[max(0.0, value - end) for value, end in zip(values, low, strict=True)],
                      [max(0.0, end - value) for value, end in zip(values, high, strict=True)]]  # fmt: skip
            places = [step + shift for step in steps]
            known[language] = axes.errorbar(places, values, errors, color=colour, linewidth=1, elinewidth=0.6)
    if measure == "pag":
        axes.legend(frameon=False, fontsize=7)
    axes.set_xlabel("training step")
    axes.set_ylabel(_NAMES.get(measure, "utility (%)" if in_percent else "utility"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if measure in _LIMITS:
        axes.set_ylim(*_LIMITS[measure])
    return known


def _end(point: Point, end: str) -> float:
    """An end of the interval; the value itself where there is none."""
    found = getattr(point.value, end)
    return float(point.value.value or 0.0) if found is None else float(found)
