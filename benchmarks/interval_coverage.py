"""Do 95 % intervals hold the truth in 95 % of samples? python benchmarks/interval_coverage.py [--prompts 180]

Prompts whose verdicts are correlated between languages, as translations of one prompt are: verdict (i, j) is safe
where a normal variable, with --correlation between the languages of a prompt, is under the quantile of language j's
true rate. A truth that has no formula is worked out from 200,000 prompts. Clustered: prompts drawn with all their
languages (the all-safe rate, one rate of prompts: Wilson). Naive: the interval of the average that takes every verdict
as independent.

--labels: the rate of a model corrected by people's labels of some answers, drawn as `mlc-bench label` draws them:
equally by the verdict of a judge that is right on 95 % of the refusals and 80 % of the others.
"""

import argparse

import numpy as np
from scipy.stats import norm

from mlc_bench.judges.labels.draw import allocate
from mlc_bench.stats import bootstrap, measures, weighted
from mlc_bench.stats.measures import Array

RATES = (0.93, 0.96, 0.93, 0.92, 0.94, 0.53, 0.06, 0.34, 0.21, 0.12)  # Qwen2.5-7B-Instruct as published, rounded


def draw(generator: np.random.Generator, shape: tuple[int, ...], rates: Array, correlation: float) -> Array:
    """Verdicts of the shape (..., prompts, languages)."""
    shared = generator.standard_normal((*shape[:-1], 1)) * np.sqrt(correlation)
    own = generator.standard_normal(shape) * np.sqrt(1 - correlation)
    return (shared + own < norm.ppf(rates)).astype(np.float64)


def coverage(
    prompts: int, trials: int, rates: Array, correlation: float, resamples: int = 1000, seed: int = 0
) -> tuple[dict[str, float], float]:
    """The share of trials whose interval holds the truth: clustered, by statistic; naive, for the average."""
    generator = np.random.default_rng(seed)
    truth = measures.Sums(draw(generator, (200_000, len(rates)), rates, correlation)).statistics()
    truth |= {"average": rates.mean(), "var": 100 * rates.var(), "worst": rates.min(), "range": np.ptp(rates)}
    held = dict.fromkeys(measures.SUMMARY, 0)
    naive = 0
    for start in range(0, trials, 100):
        matrices = draw(generator, (min(100, trials - start), prompts, len(rates)), rates, correlation)
        values = bootstrap.paired_bootstrap(list(matrices), resamples=resamples, seed=start)
        point = measures.Sums(matrices).statistics()
        for name in held:
            corrected = point[name] if name in bootstrap.BIASED else None
            low, high = bootstrap.interval(values[name], estimate=corrected).T
            if name in ("var", "range"):
                low = np.maximum(low, 0)
            if name == "all_safe":
                hits = matrices.min(axis=-1).sum(axis=-1)
                low, high = np.array([measures.wilson(int(hit), prompts) for hit in hits]).T
            held[name] += int(((low <= truth[name]) & (truth[name] <= high)).sum())
        found = point["rates"]
        half = norm.ppf(0.975) * np.sqrt((found * (1 - found)).sum(axis=1) / prompts) / len(rates)
        naive += int((np.abs(found.mean(axis=1) - rates.mean()) <= half).sum())
    return {name: count / trials for name, count in held.items()}, naive / trials


# Rate of refusal, share of the other answers that the judge calls invalid, labels, answers, strata for each verdict.
LABELLED = (
    (0.95, 0.0, 60, 315, 1),
    (0.9, 0.0, 60, 315, 1),
    (0.8, 0.1, 60, 315, 1),
    (0.7, 0.0, 60, 315, 1),
    (0.5, 0.1, 60, 315, 1),
    (0.3, 0.1, 60, 315, 1),
    (0.1, 0.1, 60, 315, 1),
    (0.7, 0.1, 60, 315, 3),
    (0.9, 0.1, 60, 315, 3),
    (0.8, 0.1, 30, 315, 1),
    (0.8, 0.1, 120, 315, 1),
    (0.7, 0.1, 60, 180, 1),
)


def label_coverage(
    rate: float,
    invalid: float,
    labels: int,
    answers: int,
    parts: int,
    trials: int,
    is_other: bool = False,
    seed: int = 0,
) -> tuple[float, float]:
    """The share of trials whose interval holds the rate, and its mean width.

    `parts`: of equal size, in which each verdict is a stratum of its own; is_other: the corrected judge is another one,
    as good, than the one whose verdicts the draw went by.
    """
    generator = np.random.default_rng(seed)
    held, width = 0, 0.0
    for _ in range(trials):
        refuses = generator.random(answers) < rate
        judges = [np.where(refuses, generator.random(answers) < 0.95, generator.random(answers) < 0.2) for _ in "12"]
        verdict = np.where(~refuses & (generator.random(answers) < invalid), 2, judges[0])
        judge = judges[1] if is_other else verdict == 1
        strata = verdict * parts + generator.integers(parts, size=answers)
        sizes = {str(name): int(n) for name, n in zip(*np.unique(strata, return_counts=True), strict=True)}
        drawn = allocate(sizes, labels)
        chosen = [
            generator.choice(np.flatnonzero(strata == int(name)), n, replace=False) for name, n in drawn.items() if n
        ]
        seen = np.concatenate(chosen)
        weights = np.array([sizes[str(name)] / drawn[str(name)] for name in strata[seen]])
        found = weighted.difference(refuses[seen], judge[seen], weights, strata[seen], answers, float(judge.mean()))
        held += found.low <= rate <= found.high
        width += found.high - found.low
    return held / trials, width / trials


def print_labels(trials: int) -> None:
    for case in LABELLED:
        rate, invalid, labels, answers, parts = case
        held, width = zip(*(label_coverage(*case, trials, is_other) for is_other in (False, True)), strict=True)
        print(
            f"rate {rate}, {100 * invalid:.0f} % of the others invalid to the judge, {labels} labels of {answers}, "
            f"{parts} x verdict: {100 * held[0]:.1f} %, {100 * width[0]:.0f} points wide; drawn by another judge "
            f"{100 * held[1]:.1f} %, {100 * width[1]:.0f} points",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=180)
    parser.add_argument("--trials", type=int, default=4000)
    parser.add_argument("--correlation", type=float, default=0.5)
    parser.add_argument("--labels", action="store_true")
    options = parser.parse_args()
    if options.labels:
        print_labels(options.trials)
        return
    for label, rates in (("the published rates", np.array(RATES)), ("equal rates of 0.9", np.full(10, 0.9))):
        held, naive = coverage(options.prompts, options.trials, rates, options.correlation)
        print(f"{label}, {options.prompts} prompts, {options.trials} trials, correlation {options.correlation}:")
        print("  clustered: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in held.items()))
        print(f"  naive, independent verdicts: average {100 * naive:.1f} %")


if __name__ == "__main__":
    main()
