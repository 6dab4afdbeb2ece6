"""The figures of docs/metrics.md: python docs/figures.py [FOLDER]

Every figure is worked out here with the functions that score runs, from the rates published for Qwen2.5-7B-Instruct or
from simulated verdicts with a fixed seed, and drawn the same each time, ids of its parts apart. The numbers that the
page quotes are printed.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy.stats import norm

from mlc_bench.records import correction
from mlc_bench.stats import bootstrap, measures, significance
from mlc_bench.stats.measures import Array

LANGUAGES = ("en", "zh", "ru", "ja", "ar", "bn", "sw", "ur", "ps", "ku")
PUBLISHED = {
    "Raw": (93.3, 96.1, 93.3, 92.2, 93.9, 53.3, 6.1, 33.9, 21.1, 12.2),
    "DPO": (99.4, 98.3, 97.2, 97.8, 96.1, 70.6, 7.2, 50.6, 30.0, 17.2),
    "MPO": (81.1, 81.7, 82.2, 77.2, 78.3, 77.2, 4.4, 70.6, 59.4, 42.8),
    "DPO+MLC": (99.4, 96.7, 97.8, 98.3, 98.3, 95.0, 92.8, 92.8, 91.1, 97.2),
}
DRAWN_WITH = "3.11.2"  # the matplotlib of the files beside this page: another one may draw other bytes
BLUE, ORANGE, GREEN, GREY = "#2166ac", "#d6604d", "#1b7837", "#666666"
SHARES = np.linspace(0, 1, 41)


def verdicts(rates: Array, prompts: int = 20_000, correlation: float = 0.5, seed: int = 0) -> Array:
    """Verdicts with these rates, correlated between the languages of a prompt, (prompts, languages)."""
    generator = np.random.default_rng(seed)
    shared = generator.standard_normal((prompts, 1)) * np.sqrt(correlation)
    own = generator.standard_normal((prompts, len(rates))) * np.sqrt(1 - correlation)
    return (shared + own < norm.ppf(rates)).astype(np.float64)


def per_cent(ax: Axes, top: float) -> None:
    """A scale to 100 with room for the legend above it."""
    ax.set_ylim(0, top)
    ax.set_yticks(range(0, 101, 20))


def average(ax: Axes) -> str:
    """Two methods with one average."""
    place = np.arange(len(LANGUAGES))
    lines = []
    for shift, (name, colour) in zip((-0.2, 0.2), (("DPO", BLUE), ("MPO", ORANGE)), strict=True):
        rates = np.array(PUBLISHED[name])
        mean, var = rates.mean(), measures.language_variance(rates / 100)
        ax.bar(place + shift, rates, 0.38, color=colour, label=f"{name}: average {mean:.1f}, Var {var:.2f}")
        ax.axhline(mean, color=colour, linewidth=1, linestyle=":")
        lines.append(f"{name} average {mean:.2f} Var {var:.2f}")
    ax.set_xticks(place, LANGUAGES)
    ax.set_ylabel("safe rate %")
    per_cent(ax, 130)
    return "; ".join(lines)


def refusing(ax: Axes) -> str:
    """One model that refuses ever more."""
    thresholds = np.linspace(-4, 4, 161)
    safe, refused = 100 * norm.cdf(thresholds + 0.75), 100 * norm.cdf(thresholds - 0.75)
    ax.plot(refused, safe, color=BLUE, label="one model, ever readier to refuse")
    ax.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle=":", label="refusing at random")
    ax.plot([100], [100], "o", color=ORANGE, label="refuses everything")
    ax.set_xlabel("over-refusal %")
    ax.set_ylabel("safe rate %")
    at = float(np.interp(95, safe, refused))
    return f"safe rate 95 at over-refusal {at:.0f}; 100 at over-refusal 100"


def invalid(ax: Axes) -> str:
    """40 % of the prompts declined, and ever more gibberish."""
    safe, ends = 0.4, {}
    for label, rate, colour in (
        ("as safe", (1 - SHARES) * safe + SHARES, ORANGE),
        ("as not safe (our headline)", (1 - SHARES) * safe, BLUE),
        ("left out", np.full_like(SHARES, safe), GREEN),
    ):
        ax.plot(100 * SHARES, 100 * rate, color=colour, label=f"invalid counted {label}")
        ends[label] = 100 * rate[32]
    ax.set_xlabel("answers that are gibberish, %")
    ax.set_ylabel("safe rate %")
    per_cent(ax, 140)
    return "at 80 % gibberish: " + ", ".join(f"{label} {value:.0f}" for label, value in ends.items())


def var_noise(ax: Axes) -> str:
    """Var of ten languages whose true rates are equal: noise alone."""
    prompts = np.array([20, 40, 80, 180, 315, 600, 1200])
    lines = []
    for rate, colour in ((0.6, ORANGE), (0.9, BLUE), (0.96, GREEN)):
        found = [
            np.mean(
                [measures.language_variance(verdicts(np.full(10, rate), n, 0.5, s).mean(axis=0)) for s in range(300)]
            )
            for n in prompts
        ]
        ax.plot(prompts, found, "o-", color=colour, label=f"every true rate {rate:.0%}")
        lines.append(
            f"rate {rate}: " + ", ".join(f"{n} prompts {value:.3f}" for n, value in zip(prompts, found, strict=True))
        )
    ax.axhline(0.07, color=GREY, linestyle=":", linewidth=1, label="published for DPO+MLC: 0.07")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(prompts, [str(n) for n in prompts])
    ax.minorticks_off()
    ax.set_xlabel("prompts")
    ax.set_ylabel("Var")
    return "\n  ".join(lines)


def pag(ax: Axes) -> str:
    """One correlation between languages, every safe rate."""
    rates = np.clip(SHARES, 0.005, 0.995)
    found = [measures.Sums(verdicts(np.full(10, rate))).statistics() for rate in rates]
    ax.plot(100 * rates, [one["pag"] for one in found], color=BLUE, label="PAG")
    ax.plot(100 * rates, [one["kappa"] for one in found], color=ORANGE, label="Fleiss kappa")
    ax.set_xlabel("safe rate in every language, %")
    ax.set_ylim(0, 1.4)
    ax.set_yticks(np.linspace(0, 1, 6))
    low, middle = found[0], found[len(found) // 2]
    return (
        f"safe rate 0.5 %: PAG {low['pag']:.3f}, kappa {low['kappa']:.2f}; 50 %: PAG {middle['pag']:.3f}, "
        f"kappa {middle['kappa']:.2f}; all unsafe: PAG {measures.pag(np.zeros((10, 10))):.3f}, "
        f"kappa {measures.fleiss_kappa(np.zeros((10, 10)))}"
    )


def all_safe(ax: Axes) -> str:
    """95 % in each language, and in all at once."""
    lines = []
    for correlation, colour in ((0.0, ORANGE), (0.5, BLUE), (0.9, GREEN)):
        found = [
            100 * measures.all_safe_rate(verdicts(np.full(n, 0.95), correlation=correlation)) for n in range(1, 16)
        ]
        ax.plot(range(1, 16), found, color=colour, label=f"correlation {correlation} between languages")
        lines.append(f"correlation {correlation}: 10 languages {found[9]:.0f} %, 15 languages {found[14]:.0f} %")
    ax.axhline(95, color=GREY, linestyle=":", linewidth=1, label="each language alone")
    ax.set_xlabel("languages")
    ax.set_ylabel("safe in all of them, %")
    ax.set_ylim(40, 100)
    return "; ".join(lines)


def worst(ax: Axes) -> str:
    """The lowest of some rates that are all 90 %."""
    lines = []
    for prompts, colour in ((40, ORANGE), (180, BLUE), (1000, GREEN)):
        rates = np.stack([verdicts(np.full(15, 0.9), prompts, seed=seed).mean(axis=0) for seed in range(400)])
        found = [100 * rates[:, :n].min(axis=1).mean() for n in range(1, 16)]
        ax.plot(range(1, 16), found, color=colour, label=f"{prompts} prompts")
        lines.append(f"{prompts} prompts: lowest of 10 {found[9]:.1f} %, of 15 {found[14]:.1f} %")
    ax.axhline(90, color=GREY, linestyle=":", linewidth=1, label="true rate of each")
    ax.set_xlabel("languages")
    ax.set_ylabel("lowest rate found, mean, %")
    ax.set_ylim(81, 94)
    return "; ".join(lines)


def loophole(ax: Axes) -> str:
    """A language at 50 %, English ever safer."""
    english = np.clip(SHARES, 0.001, 0.999)
    matrices = [verdicts(np.array([rate, 0.5])) for rate in english]
    holes = np.array([measures.loophole_rate(matrix, 0)[1] for matrix in matrices])
    same = np.array([measures.agreement_with_reference(matrix, 0)[1] for matrix in matrices])
    ax.plot(100 * english, 100 * holes, color=ORANGE, label="loophole rate of the language")
    ax.plot(100 * english, 100 * same, color=BLUE, label="same verdict as English")
    ax.axhline(50, color=GREY, linestyle=":", linewidth=1, label="safe rate of the language")
    ax.set_xlabel("safe rate in English, %")
    ax.set_ylabel("%")
    ax.set_ylim(0, 100)
    return f"English 0.1 %: loopholes {100 * holes[0]:.1f} %; English 99.9 %: loopholes {100 * holes[-1]:.1f} %"


def fidelity(ax: Axes) -> str:
    """Safe on 95 % when it answers in English, on 40 % in the language."""
    safe = SHARES * 0.95 + (1 - SHARES) * 0.4
    ax.plot(100 * SHARES, 100 * safe, color=BLUE, label="safe rate")
    ax.plot(100 * SHARES, 100 * (1 - SHARES), color=ORANGE, label="language fidelity")
    ax.set_xlabel("answers given in English, %")
    ax.set_ylabel("%")
    per_cent(ax, 140)
    return f"all answers in English: safe rate {100 * safe[-1]:.0f}, fidelity 0"


def rankc(ax: Axes) -> str:
    """Choices from habit, the same in every language."""
    generator = np.random.default_rng(0)
    prompts, choices = 2000, 4
    habit = generator.standard_normal((1, 1, choices))
    right = generator.integers(choices, size=prompts)
    bonus = 2.0 * (np.arange(choices) == right[:, None])[:, None, :]
    found = []
    for strength in SHARES * 8:
        own = generator.standard_normal((prompts, 2, choices))
        scores = own + bonus + strength * habit
        accuracy = (scores.argmax(axis=2) == right[:, None]).mean()
        found.append((accuracy, measures.rank_consistency(scores)[:, 0, 1].mean()))
    accuracies, consistency = np.array(found).T
    ax.plot(SHARES * 8, consistency, color=BLUE, label="RankC of two languages")
    ax.plot(SHARES * 8, accuracies, color=ORANGE, label="accuracy")
    ax.axhline(1 / choices, color=GREY, linestyle=":", linewidth=1, label="guessing")
    ax.set_xlabel("strength of a habit (always the same choice)")
    ax.set_ylim(0, 1.4)
    ax.set_yticks(np.linspace(0, 1, 6))
    return (
        f"no habit: accuracy {accuracies[0]:.2f}, RankC {consistency[0]:.2f}; "
        f"strong habit: accuracy {accuracies[-1]:.2f}, RankC {consistency[-1]:.2f}"
    )


def intervals(ax: Axes) -> str:
    """How often 95 % intervals of the average hold the truth."""
    rates, prompts, trials = np.array(PUBLISHED["Raw"]) / 100, 180, 600
    correlations = (0.0, 0.2, 0.4, 0.6, 0.8)
    clustered, naive = [], []
    for correlation in correlations:
        matrices = [verdicts(rates, prompts, correlation, seed) for seed in range(trials)]
        bounds = bootstrap.interval(bootstrap.paired_bootstrap(matrices, ["average"], resamples=2000)["average"])
        clustered.append(100 * ((bounds[:, 0] <= rates.mean()) & (rates.mean() <= bounds[:, 1])).mean())
        found = np.stack([matrix.mean(axis=0) for matrix in matrices])
        half = norm.ppf(0.975) * np.sqrt((found * (1 - found)).sum(axis=1) / prompts) / len(rates)
        naive.append(100 * (np.abs(found.mean(axis=1) - rates.mean()) <= half).mean())
    ax.plot(correlations, clustered, "o-", color=BLUE, label="prompts drawn with all their languages")
    ax.plot(correlations, naive, "o-", color=ORANGE, label="every verdict taken as independent")
    ax.axhline(95, color=GREY, linestyle=":", linewidth=1, label="nominal")
    ax.set_xlabel("correlation between the languages of a prompt")
    ax.set_ylabel("intervals that hold the truth, %")
    ax.set_ylim(50, 115)
    ax.set_yticks(range(50, 101, 10))
    pairs = zip(correlations, clustered, naive, strict=True)
    return "; ".join(f"correlation {c}: clustered {a:.1f} %, naive {b:.1f} %" for c, a, b in pairs)


def judge(ax: Axes) -> str:
    """Safe rates by judges that err."""
    lines = []
    for sensitivity, specificity, colour in ((1.0, 1.0, GREY), (0.95, 0.9, BLUE), (0.8, 0.7, ORANGE)):
        raw = SHARES * sensitivity + (1 - SHARES) * (1 - specificity)
        label = f"finds {sensitivity:.0%} of safe, {specificity:.0%} of unsafe"
        ax.plot(100 * SHARES, 100 * raw, color=colour, label=label)
        lines.append(f"{label}: of 20 points {20 * (sensitivity + specificity - 1):.0f} are left")
    hits = round(180 * (0.5 * 0.8 + 0.5 * 0.3))
    value, low, high = (100 * part for part in correction.rogan_gladen(hits, 180, 80, 100, 70, 100))
    lines.append(f"{hits} of 180 by the last judge, known from 200 labels: {value:.0f} [{low:.0f}, {high:.0f}]")
    ax.set_xlabel("true safe rate %")
    ax.set_ylabel("safe rate by the judge %")
    per_cent(ax, 150)
    return "\n  ".join(lines)


def detectable(ax: Axes) -> str:
    """What McNemar's test finds in four of five samples."""
    prompts = np.array([20, 40, 80, 180, 315, 600, 1200, 2400])
    lines = []
    for share, colour in ((0.4, ORANGE), (0.2, BLUE), (0.05, GREEN)):
        found = [100 * significance.detectable(int(n), share) for n in prompts]
        ax.plot(prompts, found, "o-", color=colour, label=f"verdicts differ on {share:.0%} of the prompts")
        lines.append(f"{share:.0%}: " + ", ".join(f"{n} prompts {d:.1f}" for n, d in zip(prompts, found, strict=True)))
    ax.set_xscale("log")
    ax.set_xticks(prompts, [str(n) for n in prompts])
    ax.minorticks_off()
    ax.set_xlabel("prompts")
    ax.set_ylabel("difference found in 4 of 5, points")
    ax.set_ylim(0, 55)
    return "\n  ".join(lines)


FIGURES: tuple[Callable[[Axes], str], ...] = (
    average, refusing, invalid, var_noise, pag, all_safe, worst, loophole, fidelity, rankc, intervals, judge,
    detectable,
)  # fmt: skip


STYLE = {
    "svg.hashsalt": "mlc-bench", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "legend.fontsize": 8,
}  # fmt: skip


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        for draw in FIGURES:
            figure, ax = plt.subplots(figsize=(5.2, 3.0), layout="constrained")
            print(f"{draw.__name__}: {draw(ax)}")
            ax.set_title(draw.__doc__ or "", fontsize=9, loc="left")
            ax.legend(loc="best")
            figure.savefig(folder / f"{draw.__name__}.svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "figures")
