"""Whether two models differ by more than chance on the same prompts: tests, intervals, and what could have been seen.

b and c are the discordant prompts: those where only the first, or only the second, of two models is safe (right,
refused). Shares and differences are fractions.
"""

import numpy as np
from numpy.typing import ArrayLike

from mlc_bench.stats.measures import Array, Score


def mcnemar(b: ArrayLike, c: ArrayLike) -> Score:
    """Two-sided p-value of McNemar's exact test (1947): b of b + c discordant prompts under a fair coin; elementwise.

    1 where no prompt is discordant.
    """
    from scipy.stats import binom

    fewer, total = np.minimum(b, c), np.add(b, c)
    return np.minimum(1.0, 2 * binom.cdf(fewer, total, 0.5))


def holm(p_values: ArrayLike) -> Array:
    """Holm's (1979) adjusted p-values of one family, in the same order; nan stays nan and counts as no test."""
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted


def bootstrap_p(differences: ArrayLike) -> float:
    """Two-sided p-value that belongs to the percentile interval of bootstrapped differences; nan without any.

    Twice the smaller share of replicates on either side of zero, ties on both; one is added to both counts, so that it
    is never 0 (Davison and Hinkley 1997, section 4.2).
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return np.nan
    rounding = 1e-12  # sums in another order: a difference of nothing must not pass for one of a little
    tail = min(np.count_nonzero(values <= rounding), np.count_nonzero(values >= -rounding))
    return float(min(1.0, 2 * (tail + 1) / (values.size + 1)))


def paired_interval(b: int, c: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval (low, high) of (c - b) / n by Bonett and Price (2012): Wald with one added to b and to c.

    Unlike a bootstrap it has a width where no prompt is discordant. (nan, nan) for n = 0.
    """
    from scipy.stats import norm

    if n == 0:
        return np.nan, np.nan
    first, second = (b + 1) / (n + 2), (c + 1) / (n + 2)
    centre = second - first
    half = norm.ppf((1 + confidence) / 2) * np.sqrt((first + second - centre**2) / (n + 2))
    return float(max(-1.0, centre - half)), float(min(1.0, centre + half))


def detectable(n: int, discordant: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that McNemar's test finds with this power on n prompts.

    Solves Connor's (1987) sample size n d^2 = (z_a sqrt(q) + z_b sqrt(q - d^2))^2 for d, where q is the share of
    discordant prompts. No difference is larger than q: where the solution is, q is taken to grow with it.
    nan for n = 0. An approximation, and the exact test needs somewhat more.
    """
    from scipy.stats import norm

    if n == 0:
        return np.nan
    z_a, z_b = norm.ppf(1 - alpha / 2), norm.ppf(power)
    factor = (np.sqrt(n) * z_a + z_b * np.sqrt(max(0.0, n + z_b**2 - z_a**2))) / (n + z_b**2)
    return float(min(1.0, max(factor * np.sqrt(discordant), factor**2)))


def detectable_mean(standard_error: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference that a z-test with this standard error finds with this power: (z_a + z_b) SE."""
    from scipy.stats import norm

    return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * standard_error)
