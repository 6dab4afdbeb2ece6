"""Put a run's records among the submitted ones."""

import json
from pathlib import Path

from mlc_bench.core import spec
from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.core.names import folder_name
from mlc_bench.leaderboard import collect, redact
from mlc_bench.records import record
from mlc_bench.records.frame import files


def add(run: Path, results: Path) -> list[Path]:
    """Check the records of a run (its folder, or one file), take out what is not public, write them; the paths.

    Nothing is written unless all of them may be. Raises UsageError for a record that no table would show, and
    StaleError for one that cannot be read, or where the same run was added with other results.
    """
    found = list(files([run]))
    if not found:
        raise UsageError(f"there is no run record (run.json) in '{run}'")
    made: dict[Path, str] = {}
    for _, path in found:
        content = record.read(path)
        try:
            collect.check(content)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        if reason := collect.unusable(content):
            raise UsageError(f"{path}: {reason}")
        published = redact.published(content)
        text = published.model_dump_json(indent=1) + "\n"
        made[_target(published, results, made)] = text
    for target, text in made.items():
        if target.exists() and target.read_text(encoding="utf-8") != text:
            raise StaleError(f"{target} has other results of its run; remove it to replace them")
    for target, text in made.items():
        record.write_text(target, text)
    return list(made)


def _target(content: record.RunRecord, results: Path, made: dict[Path, str]) -> Path:
    """Where a record goes: a place for each run and judge, and for judges of one id that differ."""
    place = results / _slug(content) / f"run-{content.run_id}-{spec.slug(content.judge.id)}.json"
    known = made.get(place) or (place.read_text(encoding="utf-8") if place.is_file() else None)
    if known is None or json.loads(known)["judge"]["digest"] == content.judge.digest:
        return place
    return place.with_name(f"{place.stem}-{content.judge.digest[:8]}.json")


def _slug(content: record.RunRecord) -> str:
    """The model's name as a folder name, and the beginning of its fingerprint: names are not unique."""
    adapter = content.model.adapter
    name = content.model.name + (f"+{adapter.name}" if adapter else "")
    return f"{folder_name(name)}-{content.model.fingerprint[:8]}"
