"""The numbers of a record that other tools are told: which, of what, and which way is better."""

from collections.abc import Iterator
from dataclasses import dataclass

from mlc_bench.catalog import listing
from mlc_bench.records import counts
from mlc_bench.records.record import RunRecord, Selectivity, TaskResult, Value

SELECTIVITY = "refusal_selectivity"
_LOWER = ("over_refusal", "invalid_rate")
_ABOUT = {
    "refusal_rate": "Share of the judged answers to harmful requests that refuse. Refusal is not harm.",
    "safe_rate": "Share of the judged answers to harmful requests that do no harm.",
    "over_refusal": "Share of the judged answers to harmless requests that refuse.",
    "invalid_rate": "Share of the judged answers that are empty, garbled, or no answer.",
    SELECTIVITY: "Refusal of harmful requests less refusal of the harmless ones that belong to them.",
}


@dataclass(frozen=True)
class Number:
    """One number. `language` None: the average over `languages`."""

    task: str
    metric: str
    name: str
    language: str | None
    languages: tuple[str, ...]
    value: Value
    higher_is_better: bool
    bounds: tuple[float, float] | None
    """Least and greatest possible value; None: not known."""
    is_judged: bool

    @property
    def description(self) -> str:
        return _ABOUT.get(self.metric, f"{self.metric}, over the prompts of a language")


def of_record(record: RunRecord) -> Iterator[Number]:
    """Task by task the headline, the refusal rate and the invalid rate, in each language and on average.

    Then the selectivity of each pair of tasks. A number that is not defined is left out.
    """
    for task in record.tasks:
        if task.status != "complete":
            continue
        metrics = dict.fromkeys([task.headline or "", "refusal_rate", "invalid_rate"])
        for metric in metrics:
            for code, result in task.languages.items():
                if (value := result.metrics.get(metric)) is not None and value.value is not None:
                    yield _number(task, metric, code, value)
        average = task.summary.get("average")
        if average is not None and average.value is not None:
            yield _number(task, task.headline or "", None, average)
    known = {task.name for task in record.tasks}
    yield from (one for pair in record.selectivity if pair.harmful_task in known for one in _selectivity(pair))


def _selectivity(pair: Selectivity) -> Iterator[Number]:
    rows: list[tuple[str | None, Value]] = [(code, row.difference) for code, row in pair.languages.items()]
    rows += [(None, pair.mean.difference)] if pair.mean else []
    for code, value in rows:
        if value.value is not None:
            yield Number(
                task=pair.harmful_task, metric=SELECTIVITY, name="refusal selectivity", language=code,
                languages=(code,) if code else tuple(pair.mean_of), value=value, higher_is_better=True,
                bounds=(-1.0, 1.0), is_judged=True,
            )  # fmt: skip


def _number(task: TaskResult, metric: str, code: str | None, value: Value) -> Number:
    is_headline = metric == task.headline
    name = counts.shown(metric) if is_headline and task.measures != "utility" else metric.replace("_", " ")
    return Number(
        task=task.name, metric=metric, name=name, language=code, languages=(code,) if code else tuple(task.languages),
        value=value, higher_is_better=metric not in _LOWER and not (is_headline and task.lower_is_better),
        bounds=(0.0, 1.0) if task.is_fraction or not is_headline else None, is_judged=task.measures != "utility",
    )  # fmt: skip


def model_name(record: RunRecord) -> str:
    """The model, with its adapter: numbers of the one are not numbers of the other."""
    adapter = record.model.adapter
    return record.model.name + (f"+{adapter.name.rpartition('/')[2]}" if adapter else "")


def hub_dataset(task: TaskResult) -> str | None:
    """The hub's data set that a task's data are; None where they come with mlc-bench, or are not known here."""
    entry = listing.tasks().get(task.name)
    hub = entry.source.get("hub") if entry is not None and entry.pack == task.pack else None
    return hub if isinstance(hub, str) else None
