"""Findings about texts that a task's folder accepts, each with its reason (accepted.jsonl)."""

from dataclasses import dataclass, field
from pathlib import Path

from mlc_bench.validate.source import Faults, is_text, quote, read_rows

FILE = "accepted.jsonl"
CHECKS = ("language", "script", "english", "length", "twin")
KEYS = ("language", "id", "field", "check", "reason")


@dataclass
class Accepted:
    """Findings that a pack accepts, each with its reason; one that nothing needs is a fault itself."""

    path: Path
    lines: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    used: set[tuple[str, str, str, str]] = field(default_factory=set)

    def takes(self, language: str, row_id: str, name: str, check: str) -> bool:
        key = (language, row_id, name, check)
        if key not in self.lines:
            return False
        self.used.add(key)
        return True

    def report_unused(self, faults: Faults, only: str | None) -> None:
        for key, line in self.lines.items():
            if key not in self.used and only in (None, key[0]):
                what = f"row {quote(key[1])} of '{key[0]}' has no finding '{key[3]}' in '{key[2]}' any more"
                faults.add(self.path, line, what, "remove this line")


def read(pack: Path, faults: Faults) -> Accepted:
    """The list of a task's folder, where it has one."""
    accepted = Accepted(pack / FILE)
    if not accepted.path.exists():
        return accepted
    for row in read_rows(accepted.path, faults) or []:
        language, row_id, name, check, reason = (row.values.get(key) for key in KEYS)
        if set(row.values) != set(KEYS) or not all(map(is_text, (language, row_id, name, check, reason))):
            faults.add(accepted.path, row.line, "not an accepted finding", f"write the texts {', '.join(KEYS)}")
            continue
        key = (str(language), str(row_id), str(name), str(check))
        if check not in CHECKS:
            what = f"'check' is {quote(check)}"
            faults.add(accepted.path, row.line, what, f"write one of {', '.join(CHECKS)}")
        elif key in accepted.lines:
            faults.add(accepted.path, row.line, f"the same as line {accepted.lines[key]}", "keep one of the two")
        else:
            accepted.lines[key] = row.line
    return accepted
