"""A number in two runs and how it changed, in code and in words."""

import math
from dataclasses import dataclass


@dataclass
class Change:
    """A number in the first and the second run, and second minus first with its 95 % interval.

    Rates are fractions; the scores of a metric that is no fraction (`TaskChange.is_fraction`) are as they are.
    """

    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None


def points(change: Change, scale: int) -> str:
    """The difference in points with its interval, for a sentence."""
    if change.difference is None:
        return "undefined"
    interval = (
        "" if change.low is None or change.high is None else f" [{scale * change.low:.1f}, {scale * change.high:.1f}]"
    )
    return f"{scale * change.difference:+.1f} points{interval}"


def said(p: float | None) -> str:
    """A p-value, for a sentence."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def known(number: float) -> float | None:
    """None for what is not defined: JSON knows no nan."""
    return float(number) if math.isfinite(number) else None
