"""Put a run's records among the submitted ones."""

import re
from pathlib import Path

from mlc_bench import record
from mlc_bench.errors import StaleError, UsageError

from . import collect, public


def add(run: Path, results: Path) -> list[Path]:
    """Check the records of a run (its folder, or one file), take out what is not public, write them; the paths.

    Nothing is written unless all of them may be. Raises UsageError for a record that no table would show, and
    StaleError for one that cannot be read, or where the same run was added with other results.
    """
    found = list(collect.files([run]))
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
        published = public.published(content)
        text = published.model_dump_json(indent=1) + "\n"
        target = results / _slug(published) / f"run-{published.run_id}-{published.judge.id}.json"
        if target.exists() and target.read_text(encoding="utf-8") != text:
            raise StaleError(f"{target} has other results of run {published.run_id}; remove it to replace them")
        made[target] = text
    for target, text in made.items():
        record.write_text(target, text)
    return list(made)


def _slug(content: record.RunRecord) -> str:
    """The model's name as a folder name, and the beginning of its fingerprint: names are not unique."""
    adapter = content.model.adapter
    name = content.model.name + (f"+{adapter.name}" if adapter else "")
    return re.sub(r"[^A-Za-z0-9._+-]+", "__", name)[:80].strip("._") + f"-{content.model.fingerprint[:8]}"
