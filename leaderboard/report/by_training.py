"""Selectivity where a method was shown a language in training and where it was not; and each language as an arrow."""

from collections.abc import Collection, Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlc_bench.leaderboard.render.to_markdown import escape
from mlc_bench.leaderboard.report import effects, method_tables
from mlc_bench.leaderboard.report.claims import Tasks, silent
from mlc_bench.leaderboard.report.effects import ENGLISH, Arm, Pair
from mlc_bench.leaderboard.report.method_tables import DASH, Arms

BASE = "base"
_PANELS_A_ROW = 3


def tables(
    first: Arms, second: Arms, model: str, protocol: dict[str, Any], tasks: Tasks, trusted: Collection[str]
) -> str:
    """A table for each pair of tasks: selectivity by both judges in English, in the trained languages, in the others.

    `trusted`: the languages in which the second judge may decide; its numbers are over these alone.
    """
    parts = []
    for pair in tasks.pairs:
        groups = _groups(first, model, pair, protocol["trained_languages"])
        named = "; ".join(
            f"{name}: {' '.join(codes) or 'none'} (second judge: {' '.join(_among(codes, trusted)) or 'none'})"
            for name, codes in groups.items()
        )
        head = ["method", "is shown of the trained languages", *groups, "in its language", "utility", "seconds"]
        rows = []
        for arm in method_tables.of_model(first, model):
            other = second.get((model, arm.method))
            cells = [arm.method, shown_of_others(protocol["methods"][arm.method])]
            for codes in groups.values():
                by_second = method_tables.selectivity(other, pair, _among(codes, trusted)) if other else DASH
                cells.append(f"{method_tables.selectivity(arm, pair, codes)} / {by_second}")
            cells.append(method_tables.kept_language(first, arm, tasks))
            cells.append(method_tables.utility(first, arm, tasks))
            rows.append([*cells, method_tables.seconds(arm)])
        parts.append(f"{escape(pair.harmful)}, {escape(pair.harmless)}. {named}.\n\n{method_tables.table(head, rows)}")
    return "\n".join(parts)


def shown_of_others(about: dict[str, Any]) -> str:
    """What a method of the protocol is shown of the trained languages other than English."""
    if about.get("responses"):
        return "responses"
    return "prompts" if about.get("prompts") or "mlc" in about.get("settings", {}) else "nothing"


def _groups(arms: Arms, model: str, pair: Pair, trained: Collection[str]) -> dict[str, list[str]]:
    """English, then the languages in which the base answers, by whether any method is trained on them."""
    quiet = silent(arms, model, pair.both)
    own = (method_tables.foreign(arm, pair.both, quiet) for arm in method_tables.of_model(arms, model))
    codes = list(dict.fromkeys(code for found in own for code in found))
    return {
        "English": [ENGLISH],
        "trained languages": [code for code in codes if code in trained],
        "never trained": [code for code in codes if code not in trained],
    }


def _among(codes: Sequence[str], trusted: Collection[str]) -> list[str]:
    return [code for code in codes if code in trusted]


def beside_base(arms: Arms, model: str) -> list[Arm]:
    """The methods of a model whose base is there as well."""
    return [arm for arm in method_tables.of_model(arms, model) if arm.method != BASE] if (model, BASE) in arms else []


def arrows(arms: Arms, model: str, tasks: Tasks) -> Figure:
    """A panel for each method: an arrow a language, from the base's refusal and over-refusal to the method's.

    English too; only languages in which the base answers. The model has a method beside its base.
    """
    pair, base, others = tasks.pairs[0], arms[model, BASE], beside_base(arms, model)
    codes = [ENGLISH, *method_tables.foreign(base, pair.both, silent(arms, model, pair.both))]
    columns, lines = min(_PANELS_A_ROW, len(others)), ceil(len(others) / _PANELS_A_ROW)
    figure = Figure(figsize=(1 + 3 * columns, 1 + 3 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flatten()
    for axes in panels[len(others) :]:
        axes.set_axis_off()
    for axes, arm in zip(panels, others, strict=False):
        _panel(axes, base, arm, pair, codes)
    figure.supxlabel(f"over-refusal (%), {pair.harmless}")
    figure.supylabel(f"refusal rate (%), {pair.harmful}")
    figure.suptitle(f"{model}: from the base to each method, by language")
    return figure


def _panel(axes: Axes, base: Arm, arm: Arm, pair: Pair, codes: Sequence[str]) -> None:
    axes.plot([0, 100], [0, 100], ":", color="grey")
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    axes.set_aspect("equal")
    axes.set_title(arm.method, fontsize=9)
    has = [set(effects.languages(one, one, task)) for one in (base, arm) for task in pair.both]
    for code in codes:
        if all(code in own for own in has):
            start, end = (_point(one, pair, code) for one in (base, arm))
            colour = "C3" if code == ENGLISH else "C0"
            if start != end:
                axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 0.8})
            axes.annotate(code, end, (2, 2), textcoords="offset points", fontsize=7, color=colour)


def _point(arm: Arm, pair: Pair, code: str) -> tuple[float, float]:
    """Over-refusal and refusal in one language, in %."""
    return 100 * effects.level(arm, pair.harmless, [code]).value, 100 * effects.level(arm, pair.harmful, [code]).value
