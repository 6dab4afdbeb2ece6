"""Versions of tasks, judges and the record, and what an older one means."""

import importlib.metadata
import re

from catalog import MEASURES
from tables import code, prose, table

from mlc_bench.catalog import listing
from mlc_bench.judges import spec
from mlc_bench.judges.hidden import head
from mlc_bench.judges.refusal import model
from mlc_bench.judges.rules import rules
from mlc_bench.records import migration, record


def tasks() -> str:
    """Every task with its version; what lm-eval brings has lm-eval's."""
    theirs = f"that of lm-eval {importlib.metadata.version('lm-eval')}"
    rows = [
        [code(name), theirs if entry.family else str(entry.version), MEASURES[entry.measures]]
        for name, entry in sorted(listing.tasks().items())
    ]
    return table(["task", "version", "measures"], rows)


def judges() -> str:
    """Every judge with its version; an ensemble's is those of its judges."""
    by_kind = {"rules": rules.VERSION, "refusal": model.fitted().version, "hidden": head.load().version}
    found = [spec.get(name).spec for name in spec.names()]
    return table(["judge", "version"], [[code(one.name), by_kind.get(one.kind, one.version)] for one in found])


def schemas() -> str:
    """Every schema of the record, the newest first: what came with it, and how an older record is read."""
    rows = []
    for version in range(record.SCHEMA_VERSION, 0, -1):
        new = [code(name) for name, since in _fields() if since == version]
        rows.append([str(version), ", ".join(new), _read_as().get(version, "")])
    return table(["schema", "new parts", "a record of the schema before is read so"], rows)


def _fields() -> list[tuple[str, int]]:
    """Parts of a record whose description says in which schema they came, or that they lack in an earlier one."""
    found = []
    for part in (record.RunRecord, record.TaskResult, record.LanguageResult):
        for name, field in part.model_fields.items():
            if since := re.search(r"\(schema (\d+)\)$", field.description or ""):
                found.append((name, int(since[1])))
            elif before := re.search(r"in records of schema (\d+)$", field.description or ""):
                found.append((name, int(before[1]) + 1))
    return found


def _read_as() -> dict[int, str]:
    """Schema -> how a record of the one before is read, in the words of `migrate`."""
    said = " ".join((migration.migrate.__doc__ or "").split())
    found = {}
    for version, text in re.findall(r"\d+ to (\d+): (.*?)(?= \d+ to \d+: |$)", said):
        if other := re.fullmatch(r"see `(\w+)`\.", text):
            text = getattr(migration, other[1]).__doc__ or ""
        found[int(version)] = prose(text)
    return found
