"""Rates from answers that were drawn with unequal, known probabilities: pure numbers.

An answer counts as often as it stands for others: its weight is 1 / the probability that it was drawn (Horvitz and
Thompson 1952). Strata are drawn separately and without replacement, so that the weights of a stratum add up to its
size. benchmarks/interval_coverage.py shows how often the intervals hold the truth.

Few labels of one kind in a stratum have no spread, and a variance of zero would claim certainty. `PRIOR` labels in all
are therefore added, in equal parts to the strata and at the rate found overall, where a variance is worked out, and
nowhere else.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlc_bench.stats.measures import Array

PRIOR = 4.0
"""As many as Agresti and Coull (1998) add to a plain sample."""


@dataclass(frozen=True)
class Estimate:
    """A rate, its interval, and of how many answers drawn with equal chances it has the precision."""

    value: float
    low: float
    high: float
    effective: float


NOTHING = Estimate(math.nan, math.nan, math.nan, 0.0)


@dataclass(frozen=True)
class _Strata:
    """Sums by stratum: index of each row's stratum, number of rows, number of answers that they stand for."""

    of: NDArray[np.intp]
    rows: Array
    sizes: Array

    def mean(self, values: Array) -> Array:
        total: Array = np.bincount(self.of, values, len(self.rows)).astype(np.float64)
        return total / self.rows


def _strata(weights: Array, strata: ArrayLike) -> _Strata:
    of = np.unique(np.asarray(strata), return_inverse=True)[1].ravel()
    return _Strata(of, np.bincount(of).astype(np.float64), np.bincount(of, weights).astype(np.float64))


def difference(
    people: ArrayLike,
    judge: ArrayLike,
    weights: ArrayLike,
    strata: ArrayLike,
    total: int,
    judged: float,
    confidence: float = 0.95,
) -> Estimate:
    """The rate by people behind `total` answers, some of which they saw; cut to 0..1.

    people, judge: (labelled,) of 1.0 and 0.0; weights: (labelled,); strata: (labelled,) of anything that can be sorted;
    judged: the judge's rate on all answers. The stratified difference estimator (Cochran 1977, Sampling Techniques,
    5A.9; as stratified prediction-powered inference in Fisch et al. 2024, arXiv 2406.04291): the judge's rate, times a
    factor from 0 to 1, and the weighted mean of what people say less what the judge says, times that factor. The factor
    is the one with the least variance (PPI++, arXiv 2311.01453), pulled towards 0 by `PRIOR`. The variance is that of
    two-phase sampling (Cochran 1977, 12.2), as the answers are a sample of what the model could be asked:
    rate (1 - rate) / total + sum over strata of share^2 spread^2 (1 / rows - 1 / size). The interval is Wilson's with
    the effective number of answers and Student's t with labelled - strata degrees of freedom. Answers of strata without
    a label are taken as the judge takes all, with the spread of a coin. nan for fewer than two labels.
    """
    human, machine, weight = (np.asarray(one, dtype=np.float64) for one in (people, judge, weights))
    if len(human) < 2:
        return NOTHING
    parts = _strata(weight, strata)
    whole = max(float(total), float(parts.sizes.sum()))
    shares = parts.sizes / whole
    rest = 1 - float(shares.sum())
    unseen = np.clip(1 / parts.rows - 1 / np.maximum(parts.sizes, parts.rows), 0, None)
    by_people, by_judge = parts.mean(human), parts.mean(machine)
    together = parts.mean(human * machine) - by_people * by_judge
    spread = parts.mean(machine**2) - by_judge**2
    scale = shares**2 * unseen
    added = PRIOR / len(parts.rows)
    rows = parts.rows + added
    # Labels are added here, too, tossed by coins: a factor fitted to a handful of labels is too good to be true.
    explained = float((scale * (parts.rows * spread + added / 4) / rows).sum())
    factor = float(np.clip((scale * parts.rows * together / rows).sum() / explained, 0, 1)) if explained else 0.0
    # What is known of strata without a label is the judge's rate alone.
    value = factor * (judged - float(shares @ by_judge) - rest * judged) + float(shares @ by_people) + rest * judged
    value = min(1.0, max(0.0, value))
    edge = 1 / (2 * len(human) + 2)
    pulled = min(max(value, edge), 1 - edge)
    errors = human - factor * machine
    # The labels that are added are as if the judge's verdicts had nothing to do with them.
    error, noise = pulled - factor * by_judge, pulled * (1 - pulled) + factor**2 * by_judge * (1 - by_judge)
    mean = (parts.rows * parts.mean(errors) + added * error) / rows
    square = parts.rows * parts.mean(errors**2) + added * (error**2 + noise)
    centre = float(shares @ ((parts.rows * by_people + added * pulled) / rows)) + rest * pulled
    variance = centre * (1 - centre) / whole + rest**2 / 4 + float((scale * (square / rows - mean**2)).sum())
    effective = centre * (1 - centre) / variance
    return _with_interval(value, effective, len(human) - len(parts.rows), confidence)


def ratio(
    calls: ArrayLike, cases: ArrayLike, weights: ArrayLike, strata: ArrayLike, confidence: float = 0.95
) -> Estimate:
    """The share of the cases that the judge calls so: sensitivity, where the cases are those that people call so.

    calls, cases: (labelled,) of 1.0 and 0.0; weights and strata as in `difference`. A ratio of two weighted sums
    (Hajek), with the variance of a ratio over strata by linearisation (Cochran 1977, 6.4 and 6.11; Sarndal, Swensson
    and Wretman 1992, 5.6): sum over strata of size^2 / rows times the spread of case (call - ratio), over the squared
    number of cases. The effective number of cases is never above that of labelled cases. The answers count as drawn
    from more of their kind (no correction for a finite number). nan without a case.
    """
    call, case, weight = (np.asarray(one, dtype=np.float64) for one in (calls, cases, weights))
    labelled = int(case.sum())
    if not labelled:
        return NOTHING
    parts = _strata(weight, strata)
    value = float((weight * call * case).sum() / (weight * case).sum())
    share = float((weight * case).sum() / weight.sum())
    called = parts.mean(call)
    added = PRIOR / len(parts.rows)
    rows = parts.rows + added
    of_cases = (parts.rows * parts.mean(case) + added * share) / rows
    of_hits = (parts.rows * parts.mean(case * call) + added * share * called) / rows
    number = float(parts.sizes @ of_cases)
    centre = float(parts.sizes @ of_hits) / number
    edge = 1 / (2 * labelled + 2)
    centre = min(max(centre, edge), 1 - edge)
    off = case * (call - centre)
    mean = (parts.rows * parts.mean(off) + added * share * (called - centre)) / rows
    square = (parts.rows * parts.mean(off**2) + added * share * (called - centre) ** 2) / rows
    variance = float((parts.sizes**2 / parts.rows * (square - mean**2)).sum()) / number**2
    effective = min(centre * (1 - centre) / variance, float(labelled)) if variance > 0 else float(labelled)
    return _with_interval(value, effective, len(call) - len(parts.rows), confidence)


def share(holds: ArrayLike, weights: ArrayLike, strata: ArrayLike, confidence: float = 0.95) -> Estimate:
    """The weighted share of answers for which something holds, as a `ratio` of all."""
    return ratio(holds, np.ones(len(np.asarray(holds))), weights, strata, confidence)


def _with_interval(value: float, effective: float, freedom: int, confidence: float) -> Estimate:
    from scipy.stats import t

    low, high = wilson(value, effective, float(t.ppf((1 + confidence) / 2, max(freedom, 1))))
    return Estimate(value, min(value, low), max(value, high), effective)


def wilson(value: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's interval (1927) of a rate for a number of answers that need not be whole, cut to 0..1."""
    centre = (value + quantile**2 / (2 * n)) / (1 + quantile**2 / n)
    half = quantile / (1 + quantile**2 / n) * math.sqrt(value * (1 - value) / n + quantile**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)
