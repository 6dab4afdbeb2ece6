"""What stands beside a table of harmful prompts: the over-refusal of its harmless task, and selectivity."""

from collections.abc import Iterable

import numpy as np

from mlc_bench.leaderboard.tabulate.comparable import Panel, Sample, companion_of, finite
from mlc_bench.stats import bootstrap, measures


class Companion:
    """The harmless task that belongs to a panel, over the languages of that panel's averages, in the same settings."""

    def __init__(self, mine: Panel, panels: Iterable[Panel], codes: tuple[str, ...]) -> None:
        self.blank = ""
        """Why there is none."""
        self.keys: tuple[str, ...] = ()
        name = mine.setting.over_refusal_task
        panel = companion_of(mine.setting, panels)
        if panel is None:
            self.blank = f"{name} was not run with these settings" if name else "no such task"
            return
        self.panel, self.keys = panel, panel.keys_of(codes)
        if not self.keys:
            lacking = sorted(set(codes) - set(panel.languages.values()))
            self.blank = f"{name} was not run in {' '.join(lacking)}"
        self.sample = panel.sample if self.keys == panel.chosen else Sample(panel, self.keys)

    def missing(self, model: str) -> str:
        """Why a model has no number there; empty where it has one."""
        missing = [] if self.blank else self.panel.missing(model, self.keys)
        return self.blank or (f"{self.panel.setting.task} incomplete: no {' '.join(missing)}" if missing else "")


def selectivity(harmful: Sample, harmless: Sample, model: str) -> tuple[float, float | None, float | None] | None:
    """The averages' difference with its interval, fractions; None where one of the two has no outcomes.

    Resample r draws the same rows of both tasks where they are equally long, so that partners stay together.
    """
    if model not in harmful.index or model not in harmless.index:
        return None
    both = [(sample, sample.index[model]) for sample in (harmful, harmless)]
    first, second = (float(sample.values["average"][place]) for sample, place in both)
    draws = [sample.replicates["average"][place] for sample, place in both]
    low, high = finite(bootstrap.interval(draws[0] - draws[1]))
    if low is not None and low == high:  # all verdicts are equal: the bootstrap had nothing to vary
        (down, up), (other_down, other_up) = (
            measures.equal_interval(value, sample.judged[place])
            for value, (sample, place) in zip((first, second), both, strict=True)
        )
        value = first - second
        low = value - float(np.hypot(first - down, other_up - second))
        high = value + float(np.hypot(up - first, second - other_down))
        return value, max(-1.0, low), min(1.0, high)
    return first - second, low, high
