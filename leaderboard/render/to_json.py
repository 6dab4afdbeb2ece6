"""The leaderboard as JSON, for the page and for other programs: a line for each row, rates as fractions."""

import json
from typing import Any

from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Leaderboard, Row, Table


def document(board: Leaderboard) -> str:
    """Keys `main`, `tasks`, `published` (lists of tables), `models` and `left_out`."""
    models = {row.model.id: row for table in (*board.main, *board.tasks, *board.published) for row in table.rows}
    parts = [
        f'"{name}": {_list(tables)}'
        for name, tables in (("main", board.main), ("tasks", board.tasks), ("published", board.published))
    ]
    entries = ",\n".join(f"{_dump(key)}: {_dump(_model(row))}" for key, row in sorted(models.items()))
    parts.append('"models": {\n' + entries + "}")
    left_out = ",\n".join(_dump({"source": one.source, "reason": one.reason}) for one in board.left_out)
    parts.append('"left_out": [\n' + left_out + "]")
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
            "generation": json.loads(setting.generation),
            "system_prompt_sha256": setting.system_prompt or None,
        },
        "columns": [_column(column) for column in table.columns],
    }
    rows = ",\n".join(
        _dump({"model": row.model.id, "cells": [_cell(row.cells[column.id]) for column in table.columns]})
        for row in table.rows
    )
    return _dump(head)[:-1] + ',"rows":[\n' + rows + "]}"


def _column(column: Column) -> dict[str, Any]:
    return {
        "id": column.id,
        "heading": column.heading,
        "unit": column.unit,
        "digits": column.digits,
        "higher_is_better": column.higher_is_better,
        "language": column.language or None,
        "note": column.note,
    }


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


def _number(value: float) -> float:
    return float(number_format.rounded(value, 6))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
