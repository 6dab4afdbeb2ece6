"""Intervals by resampling prompts: one model, or many models with the same resamples.

A prompt is a cluster: it is drawn with all its languages, and with all models, since its translations share their
difficulty (Efron and Tibshirani 1993, chapter 13). Resample r of a seed is the same for every matrix with as many
prompts, so that replicates of two models may be subtracted from each other (a paired bootstrap).

For a leaderboard:

    matrices = [stats.outcome_matrix(outcomes_of_one_model) for ...]      # all of one shape, the same prompts
    values = paired_bootstrap(matrices, resamples=2000, seed=0)           # {"average": (models, resamples), ...}
    interval(values["average"])                                           # (models, 2): low, high
    paired_differences(matrices[:1] * 2, matrices[1:3])                   # second less first, with the interval
    interval(values["var"], estimate=variances)                           # for what BIASED names, with its estimates
    rank_intervals(values["average"])                                     # (models, 2): best and worst rank, from 1
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlc_bench.stats import measures, significance
from mlc_bench.stats.measures import SUMMARY, Array

PAIRED = 10_000  # resamples of a difference between two models
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


def _replicates(sums: measures.Sums, names: Sequence[str], resamples: int, seed: int) -> dict[str, Array]:
    """Each statistic on every resample, ([models,] resamples, ...); nan for fewer than two prompts with a verdict."""
    batches = [sums.statistics(counts, names) for counts in _draws(sums.prompts, resamples, seed)]
    values = {name: np.concatenate([batch[name] for batch in batches], axis=sums.leading) for name in names}
    for value in values.values():
        value[np.asarray(sums.judged) < 2] = np.nan
    return values


def interval(replicates: ArrayLike, confidence: float = 0.95, estimate: ArrayLike | None = None) -> Array:
    """Central percentile interval along the last axis, (..., resamples) to (..., 2); nan replicates are left out.

    With `estimate`, (...), it is corrected for bias: the mean of the replicates is off the estimate by as much as the
    estimate is off the truth, so that the replicates are moved back by twice that (Efron and Tibshirani 1993, chapter
    10). Noise in the rates adds to Var and range and takes from the worst rate; near equal rates the plain interval
    never holds the truth. (nan, nan) where no replicate is left. ValueError for a confidence outside 0..1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
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
    replicates = _replicates(measures.Sums(matrix), [statistic], resamples, seed)[statistic]
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


def kappa(tables: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Cohen's kappa of the sum of tables (prompts, labels, labels), with its interval: (value, low, high).

    Prompts are resampled, each with all its answers; where all answers agree, or none does, resamples say nothing, and
    the interval is `measures.cohen_kappa_interval`. (nan, nan) for fewer than two prompts.
    """
    own = np.asarray(tables, dtype=np.float64)
    value = float(measures.cohen_kappa(own.sum(axis=0)))
    if len(own) < 2:
        return value, np.nan, np.nan
    agree = np.trace(own, axis1=-2, axis2=-1).sum()
    if agree in (0, own.sum()):
        return value, *measures.cohen_kappa_interval(own.sum(axis=0), len(own))
    low, high = interval(measures.cohen_kappa(resampled_sums(own, resamples=resamples, seed=seed)))
    return value, float(low), float(high)


def resampled_sums(values: ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Array:
    """Sums over resampled prompts, (prompts, ...) to (resamples, ...)."""
    numbers = np.asarray(values, dtype=np.float64)
    return np.concatenate([np.tensordot(counts, numbers, axes=1) for counts in _draws(len(numbers), resamples, seed)])


def summary(
    matrix: ArrayLike, seed: int = 0, resamples: int = 2000, *, graded: bool = False, higher_is_better: bool = True
) -> dict[str, dict[str, float]]:
    """Every overall statistic of one matrix (prompts, languages) with its 95 % clustered bootstrap interval.

    Keys `stats.SUMMARY`; each {"value", "low", "high"}. worst is the rate of the worst language and also has "index",
    its column (an int; nan if undefined). All intervals come from the same resamples; those of BIASED are corrected,
    cut where the statistic ends, and hold the estimate. benchmarks/interval_coverage.py shows how often they hold the
    truth. `graded` and `higher_is_better` as in `stats.Sums`; a worst score or range outside 0..1 is not cut.
    """
    sums = measures.Sums(matrix, graded=graded, higher_is_better=higher_is_better)
    point = sums.statistics()
    replicates = _replicates(sums, SUMMARY, resamples, seed)
    result: dict[str, dict[str, float]] = {}
    for name in SUMMARY:
        low, high = interval(replicates[name], estimate=point[name] if name in BIASED else None)
        if name in BIASED:
            floor, ceiling = 0.0, 25.0 if name == "var" else 1.0
            if not sums.has_variance:  # scores on a scale of their own, whose ends are not known
                floor, ceiling = 0.0 if name == "range" else -np.inf, np.inf
            low, high = min(max(low, floor), point[name]), max(min(high, ceiling), point[name])
        result[name] = {"value": float(point[name]), "low": float(low), "high": float(high)}
    result["worst"]["index"] = measures.worst_index(point["rates"], higher_is_better)
    return result


def paired_bootstrap(
    matrices: Sequence[ArrayLike],
    statistics: Sequence[str] = SUMMARY,
    *,
    resamples: int = 2000,
    seed: int = 0,
    graded: bool = False,
    higher_is_better: bool = True,
) -> dict[str, Array]:
    """Replicates of statistics for many models on the same prompts, every model on the same resamples.

    matrices: one of shape (prompts, languages) for each model, all of one shape. `statistics`: names from
    `stats.SUMMARY`, and "rates". Each entry of the result has the shape (models, resamples), "rates"
    (models, resamples, languages). A later call with the same seed and number of prompts draws the same resamples.
    nan for fewer than two prompts with a verdict. `graded` and `higher_is_better` as in `stats.Sums`. ValueError for
    no matrix, for different shapes, and as in `stats`.
    """
    shapes = {np.shape(matrix) for matrix in matrices}
    if len(shapes) != 1:
        raise ValueError(f"the matrices of all models must have one shape, got {sorted(shapes)}")
    chunk = max(1, CELLS // max(1, np.size(matrices[0])))
    parts = [
        _replicates(
            measures.Sums(np.stack(matrices[start : start + chunk]), graded=graded, higher_is_better=higher_is_better),
            statistics,
            resamples,
            seed,
        )
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


@dataclass(frozen=True)
class Differences:
    """Second less first for each pair; `n`: prompts with a verdict in both, `differ`: whether any verdict differs.

    `first`, `second`, `value`, `low`, `high`, `n`, `differ`: (pairs,). `replicates`: (pairs, resamples).
    """

    first: Array
    second: Array
    value: Array
    low: Array
    high: Array
    n: Array
    differ: NDArray[np.bool_]
    replicates: Array


def paired_differences(firsts: ArrayLike, seconds: ArrayLike, *, seed: int = 0, graded: bool = False) -> Differences:
    """How much the average over languages of each second matrix is above its first's, (pairs, prompts, languages) both.

    The one interval of a difference, wherever one is shown. Three things make it so. An answer counts only where both
    have a verdict, so that a judge that fails on one side compares no easier set of prompts. The interval is that of a
    paired bootstrap over prompts, each with all its languages: translations share their difficulty, which a formula for
    independent prompts (Bonett and Price 2012) knows only for one language. Where no verdict differs, the bootstrap has
    nothing to vary and would claim certainty; the interval is then Bonett and Price's for so many prompts without a
    discordant one, which is undefined (nan) for scores that are not fractions. nan for fewer than two prompts.
    """
    first, second = np.asarray(firsts, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    unjudged = np.isnan(first) | np.isnan(second)
    first, second = np.where(unjudged, np.nan, first), np.where(unjudged, np.nan, second)
    points = [measures.Sums(one, graded=graded).statistics(names=["average"])["average"] for one in (first, second)]
    n = (~unjudged).any(axis=2).sum(axis=1)
    differ = (~unjudged & (first != second)).any(axis=(1, 2))
    if not unjudged.any():
        replicates = _difference_replicates(second - first, seed)
    else:  # a prompt without a verdict is drawn as well, so that resample r has the same prompts for every pair
        parts = [_difference_replicates((b - a)[None], seed) for a, b in zip(first, second, strict=True)]
        replicates = np.where(n[:, None] < 2, np.nan, np.concatenate(parts))
    bounds = interval(replicates)
    fractions = all(bool(((one >= 0) & (one <= 1) | np.isnan(one)).all()) for one in (first, second))
    for place in np.flatnonzero(~differ & np.isfinite(points[0])):
        bounds[place] = significance.paired_interval(0, 0, int(n[place])) if fractions else np.nan
    low, high = bounds.T
    return Differences(points[0], points[1], points[1] - points[0], low, high, n, differ, replicates)


def _difference_replicates(differences: Array, seed: int) -> Array:
    """Resampled averages over languages of (pairs, prompts, languages), (pairs, PAIRED); nan for under two prompts."""
    pairs, prompts, languages = differences.shape
    if prompts < 2:
        return np.full((pairs, PAIRED), np.nan)
    if not np.isnan(differences).any():  # the sums of each prompt say all: a fraction of the time
        return paired_means(differences.sum(axis=2), resamples=PAIRED, seed=seed) / languages
    sums = measures.Sums(differences, graded=True)
    return np.concatenate(
        [sums.statistics(counts, ["average"])["average"] for counts in _draws(prompts, PAIRED, seed)], axis=1
    )


def less(gained: Array, paid: Array, together: bool) -> Array:
    """Replicates (..., resamples) of one statistic less another of as many resamples.

    `together`: they rest on the same prompts, or on pairs, and are subtracted as drawn. Else the second ones are
    shuffled, all rows alike, since resample r of a seed draws the same places of both.
    """
    order = slice(None) if together else np.random.default_rng(0).permutation(paid.shape[-1])
    subtracted: Array = gained - paid[..., order]
    return subtracted


def rank_intervals(replicates: ArrayLike, confidence: float = 0.95, higher_is_better: bool = True) -> Array:
    """Between which ranks each model is, (models, resamples) to (models, 2): the best and the worst, from 1.

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
