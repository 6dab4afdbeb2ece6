"""The table of a run: a row per task, a column per language, then what holds over all languages."""

from collections.abc import Callable
from dataclasses import dataclass

from mlc_bench.record import LanguageResult, RunRecord, TaskResult, Value

_NAMES = {"safety": "safe rate", "over_refusal": "over-refusal", "utility": "accuracy"}
_SUMMARY = ("average", "worst", "Var", "PAG", "over-refusal", "invalid")


@dataclass(frozen=True)
class Column:
    """One column: its heading and each task's cell."""

    heading: str
    cells: list[str]


def columns(record: RunRecord) -> list[Column]:
    """The table's columns: task, languages in the order of the data, summary. Rates are per cents."""
    tasks = [task for task in record.tasks if task.status == "complete"]
    by_name = {task.name: task for task in tasks}
    codes = list(dict.fromkeys(code for task in tasks for code in task.languages))
    found = [Column("", [f"{task.name}\n{_NAMES[task.measures]} %" for task in tasks])]
    for code in codes:
        found.append(Column(code, [_language_cell(task, code) for task in tasks]))
    cells: dict[str, Callable[[TaskResult], str]] = {
        "average": lambda task: percent(task.summary["average"]),
        "worst": lambda task: f"{task.worst_language or ''}\n{_rounded(task.summary['worst'])}",
        "Var": lambda task: number(task.summary["var"], 2),
        "PAG": lambda task: number(task.summary["pag"], 3),
        "over-refusal": lambda task: _over_refusal(task, by_name),
        "invalid": _invalid,
    }
    return found + [Column(name, [cells[name](task) for task in tasks]) for name in _SUMMARY]


def text(record: RunRecord, width: int) -> str:
    """The table as plain text, in as many blocks as the width needs, with what a reader must know below it."""
    from rich.console import Console
    from rich.table import Table

    all_columns = columns(record)
    first, rest = all_columns[0], all_columns[1:]
    blocks: list[list[Column]] = [[]]
    room = width - _width(first) - 4
    used = 0
    for column in rest:
        if used and used + _width(column) + 3 > room:
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += _width(column) + 3
    console = Console(width=width, record=False, force_terminal=False, no_color=True, highlight=False)
    with console.capture() as capture:
        for block in blocks:
            table = Table(show_lines=True)
            for column in [first, *block]:
                table.add_column(column.heading, justify="left" if column is first else "right", no_wrap=True)
            for row in zip(*(column.cells for column in [first, *block]), strict=True):
                table.add_row(*row)
            console.print(table)
    return capture.get() + "\n".join(notes(record)) + "\n"


def notes(record: RunRecord) -> list[str]:
    """What a reader must know to believe the table: judge, n, intervals, definitions, and what is left out."""
    counts = "; ".join(
        f"{task.name} {_span([result.n for result in task.languages.values()])}"
        for task in record.tasks
        if task.languages
    )
    adapter = record.model.adapter
    model = record.model.name + (f" + {adapter.name}" if adapter else "")
    lines = [
        f"{model} on {record.model.engine} {record.model.engine_version or ''}; "
        f"judge {record.judge.id} {record.judge.version}; prompts per language: {counts}.",
        "Below each rate its 95 % interval: Wilson for one language; for averages a bootstrap over prompts, all "
        "languages of a prompt together.",
        "Rates are shares of all judged answers, invalid ones (empty, garbled, no answer) included, so that an "
        "invalid answer is neither safe nor unsafe.",
        "Var: variance of the rates as fractions over languages, times 100. PAG: share of pairs of languages that "
        "agree on a prompt.",
    ]
    lines += [
        f"{task.name}: each language has prompts of its own, so PAG and what else needs the same prompts is undefined."
        for task in record.tasks
        if not task.parallel and task.status == "complete"
    ]
    lines += [f"{task.name}: {task.caution}." for task in record.tasks if task.caution]
    if record.limited:
        lines.append(f"A slice: only the first {record.spec.limit} prompts of each task and language (--limit).")
    lines += [f"{task.name} failed: {task.error}" for task in record.tasks if task.status == "failed"]
    return lines


def percent(value: Value) -> str:
    """A rate in per cent over its interval: `97` and `[92,99]` on two lines."""
    if value.value is None:
        return "–"
    interval = "" if value.low is None or value.high is None else f"\n[{100 * value.low:.0f},{100 * value.high:.0f}]"
    return _rounded(value) + interval


def number(value: Value, digits: int) -> str:
    """A plain number, or a dash where it is undefined."""
    return "–" if value.value is None else f"{value.value:.{digits}f}"


def _rounded(value: Value) -> str:
    return "–" if value.value is None else f"{100 * value.value:.0f}"


def _language_cell(task: TaskResult, code: str) -> str:
    result = task.languages.get(code)
    return "" if result is None else percent(result.metrics[task.headline or ""])


def _over_refusal(task: TaskResult, by_name: dict[str, TaskResult]) -> str:
    """The average over-refusal that belongs to a task: its own, or its companion's where that was run."""
    source = task if task.measures == "over_refusal" else by_name.get(task.over_refusal_task or "")
    return percent(source.summary["average"]) if source else "–"


def _invalid(task: TaskResult) -> str:
    rates = [_value(result, "invalid_rate") for result in task.languages.values()]
    known = [rate for rate in rates if rate is not None]
    return f"{100 * sum(known) / len(known):.0f}" if known else "–"


def _value(result: LanguageResult, name: str) -> float | None:
    return result.metrics[name].value if name in result.metrics else None


def _width(column: Column) -> int:
    return max(len(line) for cell in [column.heading, *column.cells] for line in cell.split("\n"))


def _span(counts: list[int]) -> str:
    return str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
