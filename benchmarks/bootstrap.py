"""The clustered bootstrap beside scipy.stats.bootstrap on the same statistics: python benchmarks/bootstrap.py [--json]

1,800 prompts x 15 languages with 10,000 replicates of the average over languages (`--replicates`); ours then also with
all statistics of a run at once, and with four times the replicates. Then a leaderboard: --models models on four tasks
of 300 prompts x 15 languages with 2,000 replicates. Every measurement has a process of its own, one core, and
reports its peak memory above that of an idle one.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
from scipy import stats as scipy_stats

from mlc_bench.stats import bootstrap, measures
from mlc_bench.stats.measures import Array

PROMPTS, LANGUAGES = 1800, 15


def verdicts(seed: int, prompts: int = PROMPTS) -> Array:
    generator = np.random.default_rng(seed)
    hardness = generator.standard_normal((prompts, 1)) + generator.standard_normal((prompts, LANGUAGES))
    return (hardness < np.linspace(2, -1, LANGUAGES)).astype(np.float64)


def idle(replicates: int) -> tuple[float, float]:
    """Nothing but the data, as a reference for memory."""
    verdicts(0)
    return 0.0, 0.0


def ours_average(replicates: int) -> tuple[float, float]:
    return bootstrap.cluster_bootstrap(verdicts(0), "average", resamples=replicates)


def ours_all(replicates: int) -> tuple[float, float]:
    found = bootstrap.summary(verdicts(0), resamples=replicates)["average"]
    return found["low"], found["high"]


def scipy_average(replicates: int) -> tuple[float, float]:
    """As scipy's documentation has it: resample row numbers, the statistic vectorised, batches of 100."""
    matrix = verdicts(0)

    def average(rows: Array, axis: int = -1) -> Array:
        found: Array = matrix[rows].mean(axis=-2).mean(axis=-1)
        return found

    return _scipy(average, replicates)


def scipy_linear(replicates: int) -> tuple[float, float]:
    """The best case for scipy: the average is a mean of one number for each prompt, which few statistics are."""
    values = verdicts(0).mean(axis=1)
    found = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=replicates, batch=100, method="percentile", rng=np.random.default_rng(0)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def scipy_pag(replicates: int) -> tuple[float, float]:
    matrix = verdicts(0)

    def pag(rows: Array, axis: int = -1) -> Array:
        safe = matrix[rows].sum(axis=-1)
        agreeing = safe * (safe - 1) + (LANGUAGES - safe) * (LANGUAGES - safe - 1)
        found: Array = agreeing.mean(axis=-1) / (LANGUAGES * (LANGUAGES - 1))
        return found

    return _scipy(pag, replicates)


def ours_pag(replicates: int) -> tuple[float, float]:
    return bootstrap.cluster_bootstrap(verdicts(0), "pag", resamples=replicates)


def _scipy(statistic: object, replicates: int) -> tuple[float, float]:
    found = scipy_stats.bootstrap(
        (np.arange(PROMPTS),),
        statistic,
        n_resamples=replicates,
        batch=100,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def leaderboard(models: int) -> tuple[float, float]:
    """Outcome strings to intervals and ranks, four tasks; returns the first model's interval."""
    low, high = 0.0, 0.0
    for task in range(4):
        outcomes = [
            ["".join(map(str, column)) for column in verdicts(seed, 300).astype(int).T] for seed in range(50)
        ] * (models // 50)
        matrices = [measures.outcome_matrix(texts) for texts in outcomes]
        values = bootstrap.paired_bootstrap(matrices, resamples=2000, seed=task)
        bounds = {name: bootstrap.interval(replicates) for name, replicates in values.items()}
        bootstrap.rank_intervals(values["average"])
        low, high = bounds["average"][0]
    return float(low), float(high)


MEASURED = {
    function.__name__: function
    for function in (idle, ours_average, ours_all, ours_pag, scipy_average, scipy_pag, scipy_linear, leaderboard)
}


def measure(name: str, size: int) -> dict[str, float]:
    """Seconds, peak memory in MiB, interval; in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, str(size)], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, size = options.measure
        wall, processor = time.perf_counter(), time.process_time()
        low, high = MEASURED[name](int(size))
        took = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - processor}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(took | {"peak_mib": peak, "low": low, "high": high}))
        return
    n = options.replicates
    base = measure("idle", n)["peak_mib"]
    plan = [
        ("average, ours", "ours_average", n), ("average, scipy", "scipy_average", n),
        ("average as a mean, scipy", "scipy_linear", n), ("PAG, ours", "ours_pag", n), ("PAG, scipy", "scipy_pag", n),
        ("all seven statistics, ours", "ours_all", n), ("the same, four times as many", "ours_all", 4 * n),
        ("leaderboard", "leaderboard", options.models),
        ("leaderboard, a third of the models", "leaderboard", options.models // 3 // 50 * 50),
    ]  # fmt: skip
    found: list[dict[str, Any]] = []
    for label, function, size in plan:
        row = measure(function, size)
        found.append({"what": label, "size": size, **row, "peak_mib": row["peak_mib"] - base})
        if not options.json:
            print(
                f"{label:36} {size:6}  {row['seconds']:7.2f} s ({row['cpu_seconds']:.2f} s of processor)  "
                f"{row['peak_mib'] - base:7.0f} MiB  "
                f"[{row['low']:.4f}, {row['high']:.4f}]",
                flush=True,
            )
    seconds = {str(row["what"]): float(row["cpu_seconds"]) for row in found}
    ratios = {name: seconds[f"{name}, scipy"] / seconds[f"{name}, ours"] for name in ("average", "PAG")}
    if options.json:
        print(json.dumps({"measured": found, "scipy_over_ours": ratios}, indent=1))
    else:
        print("scipy / ours, processor time: " + ", ".join(f"{name} {ratio:.0f}" for name, ratio in ratios.items()))


if __name__ == "__main__":
    main()
