"""The picture of README.md: python docs/readme_picture.py [FILE]

Refusal of harmful against refusal of harmless requests, a point for each language, from the committed records of the
reproduction's full form on gemma-3-270m. The same records and matplotlib draw the same picture, ids of its parts apart.
The numbers that README.md quotes are printed.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from mlc_bench.leaderboard import collect
from mlc_bench.leaderboard.report import claims, method_tables
from mlc_bench.records import record

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "leaderboard" / "reproduction" / "full-1"
PICTURE = ROOT / "docs" / "refusal-by-language.svg"
HARMFUL, HARMLESS = "starter_harmful", "starter_benign"
METHODS = {"base": "instruction tuning only", "dpo": "+ DPO in English", "dpo+mlc": "+ DPO in English, with MLC"}
STYLE = {
    "svg.hashsalt": "mlc-bench",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
DRAWN_WITH = "3.11.2"  # the matplotlib of the committed picture: another one may draw other bytes
BLUE, ORANGE, GREY = "#2166ac", "#d6604d", "#666666"

Points = dict[str, tuple[float, float]]
"""By language: percentage of harmless and of harmful requests that are refused."""


def points() -> dict[str, Points]:
    """By method: the rates of each language, means over seeds."""
    runs = [record.read(path) for _, path in collect.files([RECORDS])]
    arms = {method: arm for (_, method), arm in claims.arms(runs, {}).items()}
    return {
        method: {
            code: (rate(arms[method], HARMLESS, code), rate(arms[method], HARMFUL, code))
            for code in claims.languages(arms[method], arms[method], HARMFUL)
        }
        for method in METHODS
    }


def rate(arm: claims.Arm, task: str, code: str) -> float:
    """The task's headline in one language, a percentage, the mean over seeds."""
    found = method_tables.average(arm, task, [code])
    assert found is not None  # `points` asks for languages that every run has
    return 100 * found


def selectivity(rates: list[tuple[float, float]]) -> float:
    """Refusal of harmful less refusal of harmless requests, in points, the mean over languages."""
    return sum(harmful - harmless for harmless, harmful in rates) / len(rates)


def split(rates: Points) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """English, and all other languages."""
    return [rates[claims.ENGLISH]], [rate for code, rate in rates.items() if code != claims.ENGLISH]


def panel(ax: Axes, title: str, rates: Points) -> None:
    english, others = split(rates)
    ax.plot([0, 100], [0, 100], ":", color=GREY, linewidth=1)
    ax.plot(*zip(*others, strict=True), "o", color=BLUE, alpha=0.6, label=f"each of {len(others)} other languages")
    ax.plot(*zip(*english, strict=True), "D", color=ORANGE, label="English")
    ax.set_title(f"{title}\nselectivity: English {selectivity(english):.1f}, others {selectivity(others):.1f}")
    ax.set_xlim(-4, 104)
    ax.set_ylim(-4, 104)
    ax.set_aspect("equal")
    ax.set_xlabel("harmless requests refused (%)")


def main(picture: Path = PICTURE) -> None:
    found = points()
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(found), figsize=(10, 4), sharey=True, layout="constrained")
        for ax, (method, rates) in zip(axes, found.items(), strict=True):
            panel(ax, METHODS[method], rates)
            english, others = split(rates)
            print(f"{method}: English {selectivity(english):.1f}, others {selectivity(others):.1f}")
        axes[0].set_ylabel("harmful requests refused (%)")
        axes[0].text(3, 95, "ideal", color=GREY, style="italic", va="center")
        axes[0].text(65, 57, "refuses both alike", color=GREY, style="italic", rotation=45, ha="center", va="center")
        axes[0].legend(loc="lower right", frameon=False)
        figure.savefig(picture, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
