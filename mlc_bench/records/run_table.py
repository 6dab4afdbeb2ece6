"""The table of a run: a row per task, a column per language, then what holds over all languages."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlc_bench.core import html_table
from mlc_bench.records import counts, fidelity
from mlc_bench.records.judge_info import FEW, WEAK, JudgeInfo
from mlc_bench.records.record import LanguageResult, RunRecord, TaskResult, Value

if TYPE_CHECKING:
    from rich.table import Table

_SUMMARY = ("average", "worst", "Var", "PAG", "over-refusal", "invalid")


@dataclass(frozen=True)
class Column:
    """One column: its heading and each task's cell."""

    heading: str
    cells: list[str]


# Rows below a task's headline: metrics of its languages that are shown wherever they are known ...
_CORRECTED = {
    "safe_rate_corrected": "corrected for the judge",
    "refusal_rate_corrected": "corrected for the judge",
    "over_refusal_corrected": "corrected for the judge",
    "safe_rate_prediction_powered": "by people's labels",
    "refusal_rate_prediction_powered": "by people's labels",
}
_UNSURE = {"unsure_rate": "unsure"}
_BLOCKED = {
    "blocked_rate": "blocked",
    "safe_rate_blocked_excluded": "blocked left out",
    "refusal_rate_blocked_excluded": "blocked left out",
    "over_refusal_blocked_excluded": "blocked left out",
}
_CUT = {"cut_while_thinking_rate": "cut while thinking"}
# ... and those that are shown on demand. A suffix of the summary's names stands for another treatment of invalid ones.
_DETAILS = {
    "attack_success_rate": "attack success",
    "refusal_rate": "refuses",
    "invalid_rate": "invalid",
    "safe_rate_invalid_as_safe": "invalid as safe",
    "safe_rate_invalid_excluded": "invalid left out",
    "refusal_rate_invalid_as_refused": "invalid as refused",
    "refusal_rate_invalid_excluded": "invalid left out",
    "over_refusal_invalid_as_refused": "invalid as refused",
    "over_refusal_invalid_excluded": "invalid left out",
    **{
        f"{headline}_unsure_as_{what}": f"unsure as {what}"
        for headline in ("safe_rate", "refusal_rate", "over_refusal")
        for what in ("refused", "complied")
    },
    "loophole_rate": "loophole",
    "agreement_with_english": "same as English",
    "language_fidelity": "in its language",
}


def columns(record: RunRecord, details: bool = False) -> list[Column]:
    """The table's columns: task, languages in the order of the data, summary. Rates are percentages.

    A task has a row for its headline, one for each corrected rate, two where the provider blocked answers, one where
    thinking was cut, and with `details` one for each further metric.
    """
    tasks = [task for task in record.tasks if task.status == "complete"]
    by_name = {task.name: task for task in tasks}
    wanted = _CORRECTED | _UNSURE | _BLOCKED | _CUT | (_DETAILS if details else {})
    rows: list[tuple[TaskResult, str, str]] = []
    for task in tasks:
        known = {name for result in task.languages.values() for name in result.metrics}
        name = task.headline if task.is_graded else counts.shown(task.headline or "")
        rows.append((task, task.headline or "", f"{task.name}\n{name}{' %' if task.is_fraction else ''}"))
        further = known - {task.headline}
        rows += [(task, metric, f"{label} %") for metric, label in wanted.items() if metric in further]
    codes = list(dict.fromkeys(code for task in tasks for code in task.languages))
    judged = _judged(record)
    found = [Column("", [label for _, _, label in rows])]
    for code in codes:
        heading = code + marks(record.judge, code) if code in judged else code
        found.append(Column(heading, [_language_cell(task, code, metric) for task, metric, _ in rows]))
    cells: dict[str, Callable[[TaskResult], str]] = {
        "worst": lambda task: f"{task.worst_language or ''}\n{_rounded(_summary(task, 'worst'), task.is_fraction)}",
        "over-refusal": lambda task: _over_refusal(task, by_name),
        "invalid": _invalid,
    }
    if details:
        cells["all languages"] = lambda task: percent(_summary(task, "all_safe"))
        cells["RankC"] = lambda task: number(_summary(task, "rankc"), 3)
    numbers = {"Var": ("var", 2), "PAG": ("pag", 3)} | ({"kappa": ("kappa", 2)} if details else {})

    def cell(name: str, task: TaskResult, metric: str) -> str:
        if name == "average":
            return _average(task, metric)
        if name in numbers:
            key, digits = numbers[name]
            value = task.summary.get(key + _treatment(task, metric))
            return "" if value is None else number(value, digits)
        return cells[name](task) if metric == task.headline else ""

    order = [*_SUMMARY, *(name for name in (*numbers, *cells) if name not in _SUMMARY)]
    return found + [Column(name, [cell(name, task, metric) for task, metric, _ in rows]) for name in order]


def _judged(record: RunRecord) -> set[str]:
    """The languages in which the judge read answers."""
    return {code for task in record.tasks if task.measures != "utility" for code in task.languages}


MARKS = {"few": "†", "weak": "‡"}


def marks(judge: JudgeInfo, language: str) -> str:
    """The signs behind a language's name: how well its judge is known there."""
    return "".join(MARKS[mark] for mark in judge.marks(language))


def marks_note(judge: JudgeInfo, languages: Iterable[str]) -> list[str]:
    """What the signs mean, where there are any."""
    shown = {mark for code in languages for mark in judge.marks(code)}
    said = {
        "few": f"† {judge.id} was checked on fewer than {FEW} refusals or {FEW} other answers in this language.",
        "weak": f"‡ {judge.id} surely sees less than {100 * WEAK:.0f} % of the refusals there.",
    }
    lines = [line for mark, line in said.items() if mark in shown]
    if not lines:
        return []
    if judge.checked:
        return [" ".join(lines) + f" How good it is: mlc-bench judges agreement --judge {judge.id}."]
    return [" ".join(lines) + " To check it on labels of your own: mlc-bench label, then mlc-bench calibrate."]


def _treatment(task: TaskResult, metric: str) -> str:
    """The suffix of a metric's names in the summary: '' for the headline, '?' (no name has it) without a summary."""
    if metric == task.headline:
        return ""
    suffix = metric.removeprefix(task.headline or "")
    return suffix if "average" + suffix in task.summary else "?"


def _average(task: TaskResult, metric: str) -> str:
    """The mean over languages, where all of them have the metric; with an interval where the summary has one."""
    if (value := task.summary.get("average" + _treatment(task, metric))) is not None:
        return percent(value, task.is_fraction)
    rates = [_value(result, metric) for result in task.languages.values()]
    known = [rate for rate in rates if rate is not None]
    return f"{100 * sum(known) / len(known):.0f}" if known and len(known) == len(rates) else "–"


def text(record: RunRecord, width: int, details: bool = False) -> str:
    """The table as plain text, in as many blocks as the width needs, with what a reader must know below it."""
    from rich.console import Console

    all_columns = columns(record, details)
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
            console.print(_drawn([first, *block]))
    return capture.get() + "\n".join(notes(record, details)) + "\n"


def _drawn(shown: list[Column]) -> "Table":
    """Rows of which nothing is known beyond their name are left out."""
    from rich.table import Table

    table = Table(show_lines=True)
    for column in shown:
        table.add_column(column.heading, justify="left" if column is shown[0] else "right", no_wrap=True)
    for row in zip(*(column.cells for column in shown), strict=True):
        if any(row[1:]):
            table.add_row(*row)
    return table


def html(record: RunRecord) -> str:
    """The table and its notes as HTML, for notebooks."""
    return html_table.table(_drawn(columns(record))) + html_table.paragraphs(notes(record))


def notes(record: RunRecord, details: bool = False) -> list[str]:
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
        "Rates are shares of all judged answers, invalid ones (empty, garbled, no answer) included: an invalid answer "
        "is neither safe nor unsafe, and refuses nothing.",
        "Var: variance of the rates as fractions over languages, times 100. PAG: share of pairs of languages that "
        "agree on a prompt.",
    ]
    lines += marks_note(record.judge, _judged(record))
    lines += fidelity.note([task for task in record.tasks if task.measures != "utility"])
    lines += [
        f"{task.name}: each language has prompts of its own, so PAG and what else needs the same prompts is undefined."
        for task in record.tasks
        if not task.parallel and task.status == "complete"
    ]
    lines += [f"{task.name}: {task.caution}." for task in record.tasks if task.caution]
    drafts: dict[str, list[str]] = {}
    for task in record.tasks:
        if task.unreviewed:
            drafts.setdefault(" ".join(task.unreviewed), []).append(task.name)
    if drafts:
        named = "; ".join(f"{', '.join(names)} ({codes})" for codes, names in drafts.items())
        lines.append(f"Translated by a model and read by no speaker yet: {named}.")
    if details:
        lines += [
            "Loophole: safe (or refused) in English, and done in the language. Same as English: the same verdict as "
            "English. In its language: the answer is in the prompt's language. All languages: prompts for which the "
            "first row holds in every language. Kappa: Fleiss', languages as raters. RankC: how alike two languages "
            "rank the choices.",
        ]
    corrected = {name for task in record.tasks for result in task.languages.values() for name in result.metrics}
    if {"safe_rate_corrected", "refusal_rate_corrected", "over_refusal_corrected"} & corrected:
        lines.append(
            f"Corrected for the judge: the rate if it errs here as it does on {_labelled(record)} (Rogan and Gladen; "
            "dash: it was no better than chance there, labels of one kind are missing, or it cannot err so here)."
        )
    if {"safe_rate_prediction_powered", "refusal_rate_prediction_powered"} & corrected:
        lines.append("By people's labels: from people's labels of some of these answers and the judge's of the others.")
    if "unsure_rate" in corrected:
        lines.append(
            "Unsure: the judge cannot tell whether these answers refuse. They are in no other rate; --details has what "
            "each rate is if all of them refuse, and if none does."
        )
    if "blocked_rate" in corrected:
        lines.append(
            "Blocked: the provider refused, not the model (a refusal field, a content filter, a rejected prompt). It "
            "counts as a refusal in the first row."
        )
    if "cut_while_thinking_rate" in corrected:
        lines.append(
            "Cut while thinking: the limit of tokens was reached before an answer began; invalid in the first row. "
            "Give the thinking tokens of its own (--thinking-tokens 2048), or turn it off (--thinking off)."
        )
    lines += [
        f"Not corrected by labels{f' of {one.task}' if one.task else ''} in {one.language}: "
        f"{one.file} has {one.reason}."
        for one in record.judge.labels
        if not one.applied
    ]
    if (share := _cut_share(record)) > 0.5 and "harm" not in record.judge.sees:
        lines.append(
            f"The limit of tokens cut {100 * share:.0f} % of the judged answers. The judge takes more of such "
            "beginnings for refusals than of whole answers: raise --max-tokens before you believe these rates."
        )
    if unscored := _unscored(record):
        reasons = ", ".join(f"{reason} {count}" for reason, count in record.judge.unscored.items())
        lines.append(f"Without a verdict{f' ({reasons})' if reasons else ''} and in no rate: {'; '.join(unscored)}.")
    if record.limited:
        lines.append(f"A slice: only the first {record.spec.limit} prompts of each task and language (--limit).")
    lines += [
        f"{task.name} failed: {task.error or 'why is not known'}" for task in record.tasks if task.status == "failed"
    ]
    return lines


def _labelled(record: RunRecord) -> str:
    """The answers whose labels correct the rates: a user's, and those that come with the judge for other languages."""
    shipped = "the labelled answers of `mlc-bench judges agreement`"
    if not record.judge.calibration:
        return shipped
    own = {one.language for one in record.judge.labels if one.applied and one.task is None}
    others = {
        code
        for task in record.tasks
        for code, result in task.languages.items()
        if code not in own and any(name.endswith("_corrected") for name in result.metrics)
    }
    rest = f", and in {', '.join(sorted(others))} on {shipped}" if own and others else ""
    return record.judge.calibration + rest


def _cut_share(record: RunRecord) -> float:
    """The share of the judged answers that the limit of tokens cut, as far as the engine says it."""
    judged = [result for task in record.tasks if task.measures != "utility" for result in task.languages.values()]
    known = [(result.truncated, result.n) for result in judged if result.truncated is not None]
    return sum(cut for cut, _ in known) / max(sum(n for _, n in known), 1)


def _unscored(record: RunRecord) -> list[str]:
    """How many answers of each task and language have no verdict."""
    counts = {
        task.name: [f"{code} {result.n_unscored}" for code, result in task.languages.items() if result.n_unscored]
        for task in record.tasks
        if task.measures != "utility"
    }
    return [f"{name} {' '.join(found)}" for name, found in counts.items() if found]


def percent(value: Value, is_fraction: bool = True) -> str:
    """A percentage over its interval: `97` and `[92,99]` on two lines. What is no fraction is shown as it is."""
    if value.value is None:
        return "–"
    ends = [number for number in (value.low, value.high) if number is not None]
    interval = "\n[" + ",".join(_written(number, is_fraction) for number in ends) + "]" if len(ends) == 2 else ""
    return _rounded(value, is_fraction) + interval


def number(value: Value, digits: int) -> str:
    """A plain number, or a dash where it is undefined."""
    return "–" if value.value is None else f"{value.value:.{digits}f}"


def _rounded(value: Value, is_fraction: bool = True) -> str:
    return "–" if value.value is None else _written(value.value, is_fraction)


def _written(number: float, is_fraction: bool) -> str:
    return f"{100 * number:.0f}" if is_fraction else f"{number:.1f}"


def _summary(task: TaskResult, name: str) -> Value:
    """A number of the summary; undefined where it has none, as in a record that another tool wrote."""
    return task.summary.get(name) or Value(value=None, low=None, high=None, n=0)


def _language_cell(task: TaskResult, code: str, metric: str) -> str:
    result = task.languages.get(code)
    is_fraction = task.is_fraction or metric != task.headline
    return "" if result is None or metric not in result.metrics else percent(result.metrics[metric], is_fraction)


def _over_refusal(task: TaskResult, by_name: dict[str, TaskResult]) -> str:
    """The average over-refusal that belongs to a task: its own, or its companion's where that was run."""
    source = task if task.measures == "over_refusal" else by_name.get(task.over_refusal_task or "")
    return percent(_summary(source, "average")) if source else "–"


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
