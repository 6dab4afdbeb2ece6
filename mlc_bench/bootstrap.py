"""Intervals by resampling prompts: one model, or many models with the same resamples.

A prompt is a cluster: it is drawn with all its languages, and with all models, since its translations share their
difficulty (Efron and Tibshirani 1993, chapter 13). Resample r of a seed is the same for every matrix with as many
prompts, so that replicates of two models may be subtracted from each other (a paired bootstrap).

For a leaderboard:

    matrices = [stats.outcome_matrix(outcomes_of_one_model) for ...]      # all of one shape, the same prompts
    values = paired_bootstrap(matrices, resamples=2000, seed=0)           # {"average": (models, resamples), ...}
    interval(values["average"])                                           # (models, 2): low, high
    interval(values["average"] - values["average"][[base]])               # paired differences from model `base`
    interval(values["var"], estimate=variances)                           # for what BIASED names, with its estimates
    rank_intervals(values["average"])                                     # (models, 2): best and worst rank, from 1
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from mlc_bench import stats
from mlc_bench.stats import SUMMARY, Array

DRAWS = 2**15  # prompts drawn at once: bounds memory whatever the number of resamples
BIASED = ("var", "worst", "range")  # moved by the noise of the rates itself: pass their estimates to `interval`
CELLS = 2**18  # cells of the matrices that are evaluated at once


def _draws(prompts: int, resamples: int, seed: int) -> Iterator[Array]:
    """Batches of counts (resamples in the batch, prompts): how often each prompt is drawn; the same for a seed."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    generator = np.random.default_rng(seed)
    batch = max(1, DRAWS // max(prompts, 1))
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        drawn = generator.integers(max(prompts, 1), size=(size, prompts))
        drawn += prompts * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * prompts).reshape(size, prompts).astype(np.float64)


def _replicates(sums: stats.Sums, names: Sequence[str], resamples: int, seed: int) -> dict[str, Array]:
    """Each statistic on every resample, ([models,] resamples, ...); nan for fewer than two prompts."""
    batches = [sums.statistics(counts, names) for counts in _draws(sums.prompts, resamples, seed)]
    values = {name: np.concatenate([batch[name] for batch in batches], axis=sums.leading) for name in names}
    return values if sums.prompts > 1 else {name: np.full_like(value, np.nan) for name, value in values.items()}


def interval(replicates: ArrayLike, confidence: float = 0.95, estimate: ArrayLike | None = None) -> Array:
    """Central percentile interval along the last axis, (..., resamples) to (..., 2); nan replicates are left out.

    With `estimate`, (...), it is corrected for bias: the mean of the replicates lies off the estimate by as much as the
    estimate lies off the truth, so that the replicates are moved back by twice that (Efron and Tibshirani 1993, chapter
    10). Noise in the rates adds to Var and range and takes from the worst rate; near equal rates the plain interval
    never holds the truth. (nan, nan) where no replicate is left. ValueError for a confidence outside 0..1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    values = np.asarray(replicates, dtype=np.float64)
    defined = np.count_nonzero(~np.isnan(values), axis=-1)[..., None]
    place = np.array([(1 - confidence) / 2, (1 + confidence) / 2]) * np.maximum(defined - 1, 0)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, np.maximum(defined - 1, 0))
    ordered = np.partition(values, np.unique([below, above]), axis=-1) if values.size else values  # nan last
    low = np.take_along_axis(ordered, below, axis=-1)
    high = np.take_along_axis(ordered, above, axis=-1)
    bounds: Array = low + (high - low) * (place - below)
    if estimate is not None:
        with np.errstate(invalid="ignore"):
            mean = np.nansum(values, axis=-1, keepdims=True) / defined
        bounds = bounds - 2 * (mean - np.asarray(estimate, dtype=np.float64)[..., None])
    return bounds


def cluster_bootstrap(
    matrix: ArrayLike, statistic: str, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of one of `stats.SUMMARY`; the same seed gives the same interval.

    Resamples where the statistic is nan are left out; (nan, nan) if none is left or with fewer than two
    prompts. Verdicts that are all equal give an interval of width 0; report `stats.wilson` there. Not corrected for
    bias: use `summary` for Var, the worst rate and the range.
    ValueError for resamples < 1 or a confidence outside 0..1.
    """
    replicates = _replicates(stats.Sums(matrix), [statistic], resamples, seed)[statistic]
    low, high = interval(replicates, confidence)
    return float(low), float(high)


def mean_interval(
    values: ArrayLike, *, resamples: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of one value for each prompt; (nan, nan) for fewer than two."""
    if len(numbers := np.asarray(values, dtype=np.float64)) < 2:
        return np.nan, np.nan
    low, high = interval(resampled_sums(numbers, resamples=resamples, seed=seed) / len(numbers), confidence)
    return float(low), float(high)


def resampled_sums(values: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Array:
    """Sums over resampled prompts, (prompts, ...) to (resamples, ...)."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.concatenate([np.tensordot(counts, numbers, axes=1) for counts in _draws(len(numbers), resamples, seed)])


def summary(matrix: ArrayLike, seed: int = 0, resamples: int = 2000) -> dict[str, dict[str, float]]:
    """Every overall statistic of one matrix (prompts, languages) with its 95 % clustered bootstrap interval.

    Keys `stats.SUMMARY`; each {"value", "low", "high"}. worst is the rate of the worst language and also has "index",
    its column (an int; nan if undefined). All intervals come from the same resamples; those of BIASED are corrected,
    cut where the statistic ends, and hold the estimate. benchmarks/interval_coverage.py shows how often they hold the
    truth.
    """
    sums = stats.Sums(matrix)
    point = sums.statistics()
    replicates = _replicates(sums, SUMMARY, resamples, seed)
    result: dict[str, dict[str, float]] = {}
    for name in SUMMARY:
        low, high = interval(replicates[name], estimate=point[name] if name in BIASED else None)
        if name in BIASED:
            ceiling = 25.0 if name == "var" else 1.0
            low, high = min(max(low, 0.0), point[name]), max(min(high, ceiling), point[name])
        result[name] = {"value": float(point[name]), "low": float(low), "high": float(high)}
    result["worst"]["index"] = stats.worst(point["rates"])[0]
    return result


def paired_bootstrap(
    matrices: Sequence[ArrayLike], statistics: Sequence[str] = SUMMARY, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Array]:
    """Replicates of statistics for many models on the same prompts, every model on the same resamples.

    matrices: one of shape (prompts, languages) for each model, all of one shape. `statistics`: names from
    `stats.SUMMARY`, and "rates". Each entry of the result has the shape (models, resamples), "rates"
    (models, resamples, languages). A later call with the same seed and number of prompts draws the same resamples.
    nan for fewer than two prompts. ValueError for no matrix, for different shapes, and as in `stats`.
    """
    shapes = {np.shape(matrix) for matrix in matrices}
    if len(shapes) != 1:
        raise ValueError(f"the matrices of all models must have one shape, got {sorted(shapes)}")
    chunk = max(1, CELLS // max(1, np.size(matrices[0])))
    parts = [
        _replicates(stats.Sums(np.stack(matrices[start : start + chunk])), statistics, resamples, seed)
        for start in range(0, len(matrices), chunk)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in statistics}


def paired_means(values: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Array:
    """Replicates of the mean of one value for each prompt, (models, prompts) to (models, resamples).

    The same resamples as those of `paired_bootstrap`: where every answer has a verdict, the means over languages of a
    prompt give the replicates of `average` in a fraction of the time.
    """
    numbers = np.asarray(values, dtype=np.float64)
    return resampled_sums(numbers.T, resamples=resamples, seed=seed).T / numbers.shape[-1]


def rank_intervals(replicates: ArrayLike, confidence: float = 0.95, higher_is_better: bool = True) -> Array:
    """Between which ranks each model lies, (models, resamples) to (models, 2): the best and the worst, from 1.

    In every resample the models are ranked, equal ones sharing the mean of their ranks; then the percentile interval
    of each model's rank. Models with overlapping intervals are not told apart. A model with a nan is not ranked: nan.
    """
    from scipy.stats import rankdata

    values = np.asarray(replicates, dtype=np.float64)
    known = ~np.isnan(values).any(axis=1)
    result = np.full((len(values), 2), np.nan)
    if known.any():
        ranks = rankdata(-values[known] if higher_is_better else values[known], axis=0)
        result[known] = interval(ranks, confidence)
    return result
