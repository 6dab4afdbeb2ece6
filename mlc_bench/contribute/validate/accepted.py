"""Which findings a task's folder accepts, and which of its acceptances nothing needs any more."""

from dataclasses import dataclass, field
from pathlib import Path

from mlc_bench.catalog import accepted
from mlc_bench.contribute.validate.source import Faults, quote, read_rows
from mlc_bench.core.errors import UsageError

Key = tuple[str | None, str, str, str, str]
"""Task (None: all of the folder), language, id, field, check."""


@dataclass
class Accepted:
    """Findings that a pack accepts, each with its reason; one that nothing needs is a fault itself."""

    path: Path
    lines: dict[Key, int] = field(default_factory=dict)
    used: set[Key] = field(default_factory=set)
    unseen: set[str | None] = field(default_factory=set)
    """Tasks whose rows were not looked at, as they are not on this machine."""

    def takes(self, language: str, row_id: str, name: str, check: str, task: str | None = None) -> bool:
        """Whether the finding is accepted: for this task, or for all tasks of the folder."""
        keys: set[Key] = {(one, language, row_id, name, check) for one in (task, None)}
        found = keys & set(self.lines)
        self.used |= found
        return bool(found)

    def report_unused(self, faults: Faults, only: str | None) -> None:
        """The acceptances of findings that are no more, as far as rows were looked at."""
        for key, line in self.lines.items():
            task, language, row_id, name, check = key
            is_unseen = self.unseen and (task is None or task in self.unseen)
            if key not in self.used and only in (None, language) and not is_unseen:
                what = f"row {quote(row_id)} of '{language}' has no finding '{check}' in '{name}' any more"
                faults.add(self.path, line, what, "remove this line, or this id of it")


def read(pack: Path, faults: Faults) -> Accepted:
    """The list of a task's folder, where it has one."""
    found = Accepted(pack / accepted.FILE)
    if not found.path.exists():
        return found
    for row in read_rows(found.path, faults) or []:
        try:
            one = accepted.parse(row.values)
        except UsageError as error:
            what, _, fix = str(error).partition("; ")
            faults.add(found.path, row.line, what, fix)
            continue
        for row_id in one.ids:
            key = (one.task, one.language, row_id, one.field, one.check)
            if key in found.lines:
                faults.add(found.path, row.line, f"the same as line {found.lines[key]}", "keep one of the two")
            else:
                found.lines[key] = row.line
    return found
