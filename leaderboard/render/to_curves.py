"""Curves by training step as files: a CSV with every number, and a figure of each run (SVG and PNG)."""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import owned
from mlc_bench.leaderboard.curves import ALL, Curves, Point
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
    "pag": "PAG",
}
_LIMITS = {"refusal": (-2, 102), "over_refusal": (-2, 102), "pag": (-0.02, 1.02)}
_COLUMNS = 3  # panels side by side
_COLOURS = "tab20"


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
    with matplotlib.rc_context(plots.STYLE):
        panels: dict[tuple[str, str], list[Point]] = {}
        for point in one.points:
            panels.setdefault((point.measure, "" if point.measure == "pag" else point.task), []).append(point)
        rows = -(-len(panels) // _COLUMNS)
        made = Figure(figsize=(3.6 * min(len(panels), _COLUMNS) + 1.2, 2.9 * rows + 0.6), layout="constrained")
        codes = sorted({point.language for point in one.points} - {ALL})
        colours = {code: matplotlib.colormaps[_COLOURS](place % 20) for place, code in enumerate(codes)}
        for place, ((measure, task), points) in enumerate(panels.items(), 1):
            axes = made.add_subplot(rows, min(len(panels), _COLUMNS), place)
            _draw(axes, measure, points, colours)
            axes.set_title(printable(task, 40))
        lines = {
            label: line for axes in made.axes for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        made.legend(lines.values(), lines.keys(), loc="outside right upper", frameon=False)
        judged = f"judge {one.judge} {one.judge_version}"
        made.suptitle(printable(f"{one.method} from {one.base}, run {one.run}; {judged}; 95 % intervals", 120))
        return made


def _draw(axes: Axes, measure: str, points: list[Point], colours: dict[str, object]) -> None:
    scale = 1 if measure == "pag" or not points[0].is_fraction else 100
    for task, language in dict.fromkeys((point.task, point.language) for point in points):
        own = [one for one in points if (one.task, one.language) == (task, language) and one.value.value is not None]
        steps = [one.step for one in own]
        values = [scale * _known(one.value.value, one) for one in own]
        ends = [tuple(scale * _known(end, one) for end in (one.value.low, one.value.high)) for one in own]
        if measure == "pag":
            axes.plot(steps, values, marker="o", markersize=3, label=f"PAG, {printable(task, 30)}")
            axes.fill_between(steps, *zip(*ends, strict=True), alpha=0.15)
        elif language == ALL:
            differ = len({one.languages for one in own}) > 1
            label = "mean (of other languages at some steps)" if differ else "mean"
            axes.plot(steps, values, color="black", marker="o", markersize=3, linewidth=2, label=label, zorder=3)
            axes.fill_between(steps, *zip(*ends, strict=True), color="black", alpha=0.12)
        else:
            errors = [[value - low for value, (low, _) in zip(values, ends, strict=True)],
                      [high - value for value, (_, high) in zip(values, ends, strict=True)]]  # fmt: skip
            axes.errorbar(
                steps, values, yerr=errors, color=colours[language], label=language, linewidth=1, elinewidth=0.6
            )
    axes.set_xlabel("training step")
    axes.set_ylabel(_NAMES.get(measure, "utility (%)" if scale == 100 else "utility"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    if measure in _LIMITS:
        axes.set_ylim(*_LIMITS[measure])


def _known(end: float | None, point: Point) -> float:
    """An interval's end; the value itself where there is none."""
    return end if end is not None else point.value.value or 0.0
