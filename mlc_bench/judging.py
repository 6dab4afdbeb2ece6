"""The judge phase: verdicts for saved answers. Answers are read, never changed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlc_bench.errors import UsageError, unknown
from mlc_bench.judges import rules
from mlc_bench.store import Report

Row = dict[str, Any]
JUDGES = {"rules": rules}  # each a module with `judge`, `VERSION` and `fingerprint`


def check(name: str) -> None:
    """Raises UsageError for a judge that does not exist."""
    if name not in JUDGES:
        raise unknown("judge", name, JUDGES)


def verdicts(name: str, rows: Iterable[Row], progress: Report = lambda done, total: None) -> list[Row]:
    """A verdict row for each answer row (`id`, `language`, `prompt`, `response`, perhaps `truncated`)."""
    rows = list(rows)
    labelled = []
    for index, row in enumerate(rows, 1):
        found = JUDGES[name].judge(row["prompt"], row["response"], row["language"], bool(row.get("truncated")))
        labelled.append(
            {
                "id": row["id"],
                "language": row["language"],
                "verdict": found.verdict,
                "refused": found.refused,
                "response_language": found.response_language,
                "reason": found.reason,
            }
        )
        progress(index, len(rows))
    return labelled


def read_answers(path: Path) -> list[Row]:
    """Answers made elsewhere: JSON lines with `id`, `language`, `prompt`, `response`.

    Raises UsageError naming the line and the field that is wrong.
    """
    from mlc_bench import languages
    from mlc_bench.data import read_json_lines

    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    rows = read_json_lines(path)
    for number, row in rows:
        for field in ("id", "language", "prompt", "response"):
            if field not in row:
                raise UsageError(f"{path}, line {number}: the field '{field}' is missing")
            if field != "id" and not isinstance(row[field], str):
                raise UsageError(f"{path}, line {number}: '{field}' must be text, not {json.dumps(row[field])[:40]}")
        try:
            languages.get(row["language"])
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}") from None
    return [row for _, row in rows]
