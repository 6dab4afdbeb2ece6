"""Faults of a task's data that are known and stay: duplicates in published data, a row that nobody translated.

`accepted.jsonl` in the task's folder has one line for each reason: {"language": "sw", "id": "17", "field": "prompt",
"check": "duplicate", "reason": "..."}. `id` may be a list of ids; `task` names one task of a folder that has several.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog import notes
from mlc_bench.catalog.taskfile import TaskEntry
from mlc_bench.core.errors import UsageError

FILE = "accepted.jsonl"
CHECKS = (
    "character", "choice", "declined", "differs", "duplicate", "english", "language", "leftover", "length", "mixed",
    "mojibake", "nfc", "pair", "placeholder", "script", "slots", "space", "translator",
)  # fmt: skip
"""Every check of what data say. What keeps a row from being asked at all, as an empty prompt, cannot be accepted."""
_KEYS = ("language", "id", "field", "check", "reason")
_CONSTANT = {"choices", "answer", "category", "topic"}


@dataclass(frozen=True)
class Acceptance:
    """One line: the same finding in one language, of one row or of several. `task` is None for all of the folder."""

    language: str
    ids: tuple[str, ...]
    field: str
    check: str
    reason: str
    task: str | None = None


def parse(row: dict[str, Any]) -> Acceptance:
    """A line of accepted.jsonl. Raises UsageError that says what is wrong, and how it must look."""
    ids: list[Any] = row["id"] if isinstance(row.get("id"), list) else [row.get("id")]
    texts = [*(row.get(key) for key in _KEYS if key != "id"), *ids, row.get("task", "-")]
    if set(row) - {"task"} != set(_KEYS) or not ids or not all(isinstance(one, str) and one.strip() for one in texts):
        raise UsageError(f"not an accepted finding; write the texts {', '.join(_KEYS)}, and task where it is of one")
    if row["check"] not in CHECKS:
        raise UsageError(f"'check' is '{row['check'][:40]}'; write one of {', '.join(CHECKS)}")
    return Acceptance(row["language"], tuple(ids), row["field"], row["check"], row["reason"], row.get("task"))


def read(pack: Path) -> list[Acceptance]:
    """The accepted faults of a task's folder; none where it has no list. Raises UsageError naming a bad line."""
    return notes.read(pack, FILE, parse)


def of_task(entry: TaskEntry, languages: Collection[str] | None = None) -> list[dict[str, Any]]:
    """What was accepted of a task's rows, in all languages or in these: check, reason, n (rows), languages.

    One entry for each check and reason, in their order. Raises UsageError naming a bad line of the list.
    """
    if entry.family:
        return []
    fields = {entry.source["prompt_field"], *_CONSTANT} if "folder" in entry.source else None
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for one in read(entry.path.parent):
        is_ours = one.task in (None, entry.name) and (fields is None or one.field in fields)
        if not is_ours or (languages is not None and one.language not in languages):
            continue
        group = groups.setdefault(
            (one.check, one.reason), {"check": one.check, "reason": one.reason, "n": 0, "languages": []}
        )
        group["n"] += len(one.ids)
        if one.language not in group["languages"]:
            group["languages"].append(one.language)
    return list(groups.values())
