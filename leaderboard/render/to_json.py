"""The leaderboard as JSON, for the page and for other programs: a line for each row, rates as fractions."""

import json
from typing import Any

from mlc_bench.leaderboard.curves import ALL, Curves, Point, peak
from mlc_bench.leaderboard.provenance import Judge, Run
from mlc_bench.leaderboard.redact import printable
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Leaderboard, Row, Table
from mlc_bench.leaderboard.tabulate.interval_methods import interval_method
from mlc_bench.records.run_table import MARKS

_UNITS = {  # of a measure by training step: unit, and digits after the decimal point
    "refusal": ("percent", 1),
    "over_refusal": ("percent", 1),
    "selectivity": ("points", 1),
    "fidelity": ("percent", 1),
    "pag": ("number", 3),
    "utility": ("percent", 1),
}


def document(board: Leaderboard) -> str:
    """Keys `headline`, `main`, `tasks`, `published` (lists of tables), `models`, `runs`, `judges` and `left_out`.

    `runs` has the records of each run by the sha256 of their judge, and `judges` is by the same sha256. `curves` is
    there where a training run has scored steps: each has `lines`, one for a task, measure and language.
    """
    models = {row.model.id: row for table in board.tables for row in table.rows}
    kinds = {"headline": board.headline, "main": board.main, "tasks": board.tasks, "published": board.published}
    parts = [f'"{name}": {_list(tables)}' for name, tables in kinds.items()]
    entries = ",\n".join(f"{_dump(key)}: {_dump(_model(row))}" for key, row in sorted(models.items()))
    parts.append('"models": {\n' + entries + "}")
    runs: dict[str, dict[str, Any]] = {}
    for run in board.runs:
        runs.setdefault(run.id, {})[run.judge] = _run(run)
    for name, known in (("runs", runs), ("judges", {judge.digest: _judge(judge) for judge in board.judges})):
        lines = ",\n".join(f"{_dump(key)}: {_dump(value)}" for key, value in known.items())
        parts.append(f'"{name}": {{\n{lines}}}')
    left_out = ",\n".join(_dump({"source": one.source, "reason": one.reason}) for one in board.left_out)
    parts.append('"left_out": [\n' + left_out + "]")
    if board.curves:
        parts.append('"curves": [\n' + ",\n".join(_dump(_curves(one)) for one in board.curves) + "]")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _list(tables: tuple[Table, ...]) -> str:
    return "[\n" + ",\n".join(_table(table) for table in tables) + "]"


def _table(table: Table) -> str:
    setting = table.setting
    head: dict[str, Any] = {
        "id": table.id,
        "title": table.title,
        "judge": table.judge,
        "notes": table.notes,
        "setting": None
        if setting is None
        else {
            "task": setting.task,
            "version": setting.version,
            "measures": setting.measures,
            "judge_version": setting.judge_version,
            "judge_sha256": setting.judge_digest or None,
            "generation": json.loads(setting.generation),
            "system_prompt_sha256": setting.system_prompt or None,
            "harmless_task": setting.over_refusal_task,
            "pairs": setting.over_refusal_pairs,
            "caution": setting.caution or None,
            "unreviewed": setting.unreviewed,
        },
        "columns": [_column(table, column) for column in table.columns],
    }
    rows = ",\n".join(
        _dump(
            {"model": row.model.id}
            | ({"notes": row.notes} if row.notes else {})
            | ({"unanswered": row.unanswered} if row.unanswered else {})
            | {"cells": [_cell(row.cells[column.id]) for column in table.columns]}
        )
        for row in table.rows
    )
    return _dump(head)[:-1] + ',"rows":[\n' + rows + "]}"


def _column(table: Table, column: Column) -> dict[str, Any]:
    found = {
        "id": column.id,
        "heading": column.heading,
        "unit": column.unit,
        "digits": column.digits,
        "higher_is_better": column.higher_is_better,
        "language": column.language or None,
        "note": column.note,
    }
    method = interval_method(table, column)
    more = {"interval": method, "marks": column.marks, "source": column.source, "parts": column.parts}
    return found | {name: value for name, value in more.items() if value}


def _run(run: Run) -> dict[str, Any]:
    found = {
        "finished": run.finished,
        "engine": run.engine,
        "dtype": run.dtype,
        "chat_template_sha256": run.chat_template,
        "template_date": run.template_date,
        "mlc_bench": run.program,
    }
    return {name: value for name, value in found.items() if value}


def _judge(judge: Judge) -> dict[str, Any]:
    """With how it did on labelled answers, a line for each language and set of labels."""
    checked = [
        {
            "language": one.language,
            "labels": printable(one.labels),
            "source": printable(one.source),
            "refusals": one.refusals,
            "seen": one.seen,
            "others": one.others,
            "alarms": one.alarms,
            "unsure": one.unsure,
            "marks": "".join(MARKS[mark] for mark in one.marks),
        }
        for one in judge.checked
    ]
    return {"id": judge.id, "version": judge.version, "sees": judge.sees, "checked": checked}


def _cell(cell: Cell) -> dict[str, Any]:
    """What there is of value, low, high, n, unscored, runs, rank, p, mark, languages, best; or why it is blank."""
    if cell.value is None:
        return {"blank": cell.blank}
    found: dict[str, Any] = {"value": _number(cell.value)}
    if cell.low is not None and cell.high is not None:
        found |= {"low": _number(cell.low), "high": _number(cell.high)}
    if cell.n:
        found["n"] = cell.n
    if cell.unscored:
        found["unscored"] = cell.unscored
    if cell.runs:
        found["runs"] = cell.runs
    if cell.rank:
        found["rank"] = cell.rank
    if cell.p is not None:
        found |= {"p": float(number_format.significant(cell.p, 3)), "mark": cell.mark}
    if cell.languages:
        found["languages"] = cell.languages
    if cell.best:
        found["best"] = True
    return found


def _model(row: Row) -> dict[str, Any]:
    model = row.model
    return {
        "name": model.name,
        "adapter": model.adapter,
        "label": model.label,
        "method": model.method,
        "base_name": model.base_name,
        "base": model.base,
        "engine": model.engine,
        "dtype": model.dtype,
        "seen": model.seen,
        "kept_out": model.kept_out,
    }


def _curves(one: Curves) -> dict[str, Any]:
    lines = [_line(*place, points) for place, points in one.lines().items()]
    about = {"run": one.run, "method": one.method, "base_name": one.base}
    judge = {"judge": one.judge, "judge_version": one.judge_version}
    return about | judge | {"steps": one.steps, "lines": lines, "left_out": one.left_out}


def _line(task: str, measure: str, language: str, points: list[Point]) -> dict[str, Any]:
    """`language` is null for what is over several; `peak`: where selectivity is highest, and steps that reach it."""
    unit, digits = _UNITS[measure]
    found: dict[str, Any] = {"task": task, "measure": measure, "language": None if language == ALL else language}
    found |= {"unit": unit if all(point.is_fraction for point in points) else "number", "digits": digits}
    found["points"] = [_point(point) for point in points]
    if measure == "selectivity" and (highest := peak(points)):
        found["peak"] = {"step": highest[0].step, "reached_by": highest[1]}
    return found


def _point(point: Point) -> dict[str, Any]:
    value = point.value
    found: dict[str, Any] = {"step": point.step}
    for name, number in (("value", value.value), ("low", value.low), ("high", value.high)):
        if number is not None:
            # All digits that `number_format.shown` looks at: rounded twice, a number may be shown otherwise.
            found[name] = float(number_format.rounded(number, 9))
    more = {"n": value.n, "languages": point.languages, "unanswered": point.unanswered}
    return found | {name: content for name, content in more.items() if content}


def _number(value: float) -> float:
    return float(number_format.rounded(value, 6))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
