"""A run for the model's page on the Hugging Face hub: results (`.eval_results/*.yaml`) and a model card (`README.md`).

The formats are those of huggingface/hub-docs: eval_results.yaml and modelcard.md (`model-index`). Both are made from
the record as the leaderboard publishes it: no prompts, no answers, nothing of the machine.
"""

import re
from typing import Any

import yaml

from mlc_bench.core.errors import UsageError
from mlc_bench.export import numbers
from mlc_bench.export.numbers import Number
from mlc_bench.leaderboard import lineage
from mlc_bench.leaderboard.render.to_markdown import escape
from mlc_bench.records import run_table
from mlc_bench.records.record import RunRecord, TaskResult

CARD = "README.md"
FOLDER = ".eval_results"
MADE_BY = "<!-- made by mlc-bench export; do not edit -->"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")

Row = dict[str, Any]


def files(record: RunRecord, benchmark: str | None = None) -> dict[str, str]:
    """Path below the output folder -> content. `record`: as published.

    `benchmark`: the hub's data set that results are listed under whose data are no data set of the hub; without it
    such results are in the card alone. Raises UsageError for a name that is none of the hub's.
    """
    found = {CARD: card(record)}
    for dataset, entries in _by_dataset(record, benchmark).items():
        name = "mlc-bench-" + dataset.replace("/", "__")
        found[f"{FOLDER}/{name}.yaml"] = _yaml(entries)
    return found


def check_repository(name: str, option: str) -> str:
    """The name. Raises UsageError for what is not OWNER/NAME."""
    if not _REPOSITORY.fullmatch(name) or ".." in name or "--" in name:
        raise UsageError(f"{option} '{name}' is no name on the hub; write OWNER/NAME")
    return name


def _by_dataset(record: RunRecord, benchmark: str | None) -> dict[str, list[Row]]:
    if benchmark is not None:
        check_repository(benchmark, "--benchmark")
    tasks = {task.name: task for task in record.tasks}
    found: dict[str, list[Row]] = {}
    for one in numbers.of_record(record):
        if one.metric != tasks[one.task].headline:
            continue
        if dataset := numbers.hub_dataset(tasks[one.task]) or benchmark:
            found.setdefault(dataset, []).append(_entry(record, one, dataset))
    return found


def _entry(record: RunRecord, one: Number, dataset: str) -> Row:
    return {
        "dataset": {"id": dataset, "task_id": _task_id(one.task, one.language)},
        "value": _rounded(one.value.value),
        "date": record.finished,
        "notes": "; ".join([one.name, *_about(record, one)]),
    }


def _task_id(task: str, code: str | None) -> str:
    return f"{task}_{code}" if code else task


def _about(record: RunRecord, one: Number) -> list[str]:
    """What a reader must know to believe a number, in few words."""
    judge = [f"judge {record.judge.id} {record.judge.version}"] if one.is_judged else []
    known = one.value.low is not None and one.value.high is not None
    ends = [f"95 % interval {_rounded(one.value.low)} to {_rounded(one.value.high)}"] if known else []
    limit = [f"first {record.spec.limit} prompts only"] if record.limited else []
    return [*judge, f"n {one.value.n}", *ends, *limit, f"mlc-bench run {record.run_id}"]


def card(record: RunRecord) -> str:
    """The model card: metadata with `model-index`, and the table of the run below it."""
    name = numbers.model_name(record)
    tasks = {task.name: task for task in record.tasks}
    by_data: dict[tuple[str, str | None], list[Number]] = {}
    for one in numbers.of_record(record):
        by_data.setdefault((one.task, one.language), []).append(one)
    results = [_index(record, tasks[task], language, own) for (task, language), own in by_data.items()]
    metadata: Row = {"tags": ["mlc-bench", "safety", "multilingual"]}
    base = lineage.base_name(record.model)
    if base and base != name and _REPOSITORY.fullmatch(base):
        metadata["base_model"] = base
    metadata["model-index"] = [{"name": name, "results": results}]
    body = [MADE_BY, "", f"# {escape(name)}", "", "Refusal and over-refusal by language, measured with mlc-bench.", ""]
    body += _table(run_table.columns(record))
    body += [line for note in run_table.notes(record) for line in ("", escape_line(note))]
    return f"---\n{_yaml(metadata)}---\n" + "\n".join(body) + "\n"


def _index(record: RunRecord, task: TaskResult, code: str | None, own: list[Number]) -> Row:
    """The numbers of a task in one language (None: over languages), as `model-index` has them."""
    language = code or "average over languages"
    return {
        "task": {"type": "text-generation", "name": task.name},
        "dataset": {
            "type": numbers.hub_dataset(task) or task.pack,
            "name": f"{task.name} ({language})",
            "config": _task_id(task.name, code),  # tells tasks of one pack apart: the hub's library merges by it
        },
        "metrics": [
            {
                "type": one.metric,
                "name": f"{one.name} ({language})",
                "value": _rounded(one.value.value),
                "args": {"details": "; ".join(_about(record, one))},
            }
            for one in own
        ],
    }


def _table(columns: list[run_table.Column]) -> list[str]:
    """The table of `mlc-bench show`, turned: a row a language, as a page is narrow."""
    lines = [[column.heading, *column.cells] for column in columns if any(column.cells)]
    written = ["| " + " | ".join(escape_line(cell) for cell in line) + " |" for line in lines]
    return [written[0], "|" + " --- |" * len(lines[0]), *written[1:]]


def escape_line(text: str) -> str:
    """A text of any length as Markdown shows it, on one line."""
    parts = " ".join(text.split())
    return " ".join(escape(word) for word in parts.split(" "))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120)
