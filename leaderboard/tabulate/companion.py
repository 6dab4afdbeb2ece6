"""What stands beside a table of harmful prompts: the over-refusal of its harmless task, and selectivity."""

from collections.abc import Iterable

from mlc_bench.leaderboard.tabulate.comparable import Panel, Sample, companion_of
from mlc_bench.records import selectivity
from mlc_bench.records.record import Value


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


def difference(harmful: Sample, harmless: Sample, model: str, paired: bool) -> Value | None:
    """Selectivity: the averages' difference with its interval, as a run's own table has it.

    None where one of the two tasks has no outcomes. `paired`: row k of both is one pair of prompts. Resample r draws
    the same rows of both, and how their averages go together says how much the pairs tell.
    """
    if model not in harmful.index or model not in harmless.index:
        return None
    first, second = (_average(sample, sample.index[model]) for sample in (harmful, harmless))
    together = 0.0
    if paired:
        draws = [sample.replicates["average"][sample.index[model]] for sample in (harmful, harmless)]
        together = selectivity.correlation(*draws)
    return selectivity.difference(first, second, together)


def _average(sample: Sample, place: int) -> Value:
    low, high = sample.bounds("average", place)
    return Value(value=float(sample.values["average"][place]), low=low, high=high, n=sample.judged[place])
