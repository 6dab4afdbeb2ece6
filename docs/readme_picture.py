"""The picture of README.md: python docs/readme_picture.py [FILE]

Refusal of harmful against refusal of harmless requests, a point for each language, of the released chat models on the
leaderboard: their embedded contrast pairs, from the committed records of the judge `refusal`. The same records and
matplotlib draw the same picture, ids of its parts apart. The numbers that README.md quotes are printed.
"""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from mlc_bench.leaderboard import collect
from mlc_bench.records import record
from mlc_bench.records.record import Selectivity, SelectivityOfLanguage

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "leaderboard" / "results"
PICTURE = ROOT / "docs" / "refusal-by-language.svg"
HARMFUL, JUDGE, ENGLISH = "starter_harmful", "refusal", "en"
MODELS = ("Qwen2.5-Coder-0.5B-Instruct", "Qwen2.5-Coder-1.5B-Instruct")
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


def found() -> dict[str, Selectivity]:
    """By model: the newest record's selectivity on the contrast pairs."""
    made = {}
    runs = [record.read(path) for _, path in collect.files([RECORDS])]
    for run in sorted(runs, key=lambda run: run.finished):
        for model in MODELS:
            if run.model.name.startswith(model) and run.judge.id == JUDGE:
                made[model] = next(one for one in run.selectivity if one.harmful_task == HARMFUL)
    return {model: made[model] for model in MODELS}


def rates(row: SelectivityOfLanguage) -> tuple[float, float]:
    """Percentages of harmless and of harmful requests that are refused."""
    return 100 * (row.harmless.value or 0.0), 100 * (row.harmful.value or 0.0)


def points(one: Selectivity) -> dict[str, tuple[float, float]]:
    """The rates in the languages in which the model answers."""
    return {code: rates(one.languages[code]) for code in one.mean_of}


def selectivity(one: Selectivity) -> tuple[float, float]:
    """Refusal of harmful less refusal of harmless requests, in points: in English, and the mean of the others."""
    differences = {code: harmful - harmless for code, (harmless, harmful) in points(one).items()}
    english = differences.pop(ENGLISH)
    return english, sum(differences.values()) / len(differences)


def panel(ax: Axes, title: str, one: Selectivity) -> None:
    answered = points(one)
    english = answered.pop(ENGLISH)
    silent = [rates(row) for code, row in one.languages.items() if code not in one.mean_of]
    ax.plot([0, 100], [0, 100], ":", color=GREY, linewidth=1)
    label = f"each of {len(answered)} other languages"
    ax.plot(*zip(*answered.values(), strict=True), "o", color=BLUE, alpha=0.6, label=label)
    if silent:
        label = f"{len(silent)} in which it does not answer"
        ax.plot(*zip(*silent, strict=True), "o", color=GREY, fillstyle="none", alpha=0.6, label=label)
    ax.plot(*english, "D", color=ORANGE, label="English")
    ax.set_title("{}\nselectivity: English {:.1f}, others {:.1f}".format(title, *selectivity(one)))
    ax.set_xlim(-4, 104)
    ax.set_ylim(-4, 104)
    ax.set_aspect("equal")
    ax.set_xlabel("harmless requests refused (%)")
    ax.legend(loc="lower right", frameon=False)


def main(picture: Path = PICTURE) -> None:
    models = found()
    with matplotlib.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(models), figsize=(10, 4.6), sharey=True, layout="constrained")
        for ax, (model, one) in zip(axes, models.items(), strict=True):
            panel(ax, model, one)
            print("{}: English {:.1f}, others {:.1f}".format(model, *selectivity(one)))
        axes[0].set_ylabel("harmful requests refused (%)")
        axes[0].text(3, 95, "ideal", color=GREY, style="italic", va="center")
        axes[0].text(65, 57, "refuses both alike", color=GREY, style="italic", rotation=45, ha="center", va="center")
        figure.savefig(picture, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
