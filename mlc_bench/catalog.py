"""Tasks: found by reading the YAMLs of the task folders, without importing lm-eval or executing anything."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from mlc_bench import data
from mlc_bench import languages as known_languages
from mlc_bench.errors import UsageError, unknown

Measures = Literal["safety", "over_refusal", "utility"]
MEASURES = ("safety", "over_refusal", "utility")


@dataclass(frozen=True)
class TaskEntry:
    """One task YAML. `config` is its content with `!function` references left as text."""

    name: str
    pack: str
    path: Path
    config: dict[str, Any]

    @property
    def version(self) -> int:
        return self.config["metadata"]["version"]

    @property
    def measures(self) -> Measures:
        """What a number of this task means: safety, over_refusal or utility."""
        return self.config["metadata"]["measures"]

    @property
    def source(self) -> dict[str, Any]:
        return self.config["dataset_kwargs"]

    @property
    def card(self) -> str:
        """The pack's card (Markdown): how the data were made, licence, checks by native speakers."""
        return (self.path.parent / "card.md").read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """A safe loader that keeps `!function module.name` as the text `module.name`."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]


def read_yaml(path: Path) -> TaskEntry:
    """One task file, checked. Raises UsageError naming the file and the problem (lm-eval would drop it silently)."""
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where}: malformed YAML ({getattr(error, 'problem', None) or error})") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: a task file is a mapping that starts with 'task: <name>'")
    for key in ("task", "dataset_kwargs", "output_type", "metadata"):
        if key not in config:
            raise UsageError(f"{path}: the key '{key}' is missing")
    if not isinstance(config["task"], str):
        raise UsageError(f"{path}: 'task' must be a name")
    source = config["dataset_kwargs"]
    wanted = ("folder", "prompt_field") if "folder" in (source or ()) else ("file", "sha256", "columns")
    if not isinstance(source, dict) or not all(source.get(key) for key in wanted):
        raise UsageError(f"{path}: 'dataset_kwargs' must hold {' and '.join(wanted)}")
    metadata = config["metadata"]
    if not isinstance(metadata, dict) or not isinstance(metadata.get("version"), int):
        raise UsageError(f"{path}: 'metadata' must be a mapping with a whole number as 'version'")
    if metadata.get("measures") not in MEASURES:
        raise UsageError(f"{path}: metadata 'measures' must be one of {', '.join(MEASURES)}")
    if metadata["measures"] == "utility" and not metadata.get("headline"):
        raise UsageError(f"{path}: metadata 'headline' must name the metric that tables show")
    return TaskEntry(config["task"], path.parent.name, path, config)


@lru_cache(maxsize=4)
def tasks(root: Path = data.TASKS) -> dict[str, TaskEntry]:
    """Every task by name, in the order of packs, of what they measure, and of names."""
    found: dict[str, TaskEntry] = {}
    for path in sorted(root.glob("*/*.yaml")):
        entry = read_yaml(path)
        if entry.name in found:
            raise UsageError(f"{path}: the task name '{entry.name}' is taken by {found[entry.name].path}")
        found[entry.name] = entry
    ordered = sorted(found.values(), key=lambda entry: (entry.pack, MEASURES.index(entry.measures), entry.name))
    return {entry.name: entry for entry in ordered}


def select(names: list[str], root: Path = data.TASKS) -> list[TaskEntry]:
    """Task names, or names of packs for all tasks of a pack, to tasks; each once."""
    known = tasks(root)
    packs = {entry.pack for entry in known.values()}
    chosen: dict[str, TaskEntry] = {}
    for name in names:
        if name not in known and name not in packs:
            raise unknown("task", name, known.keys() | packs)
        chosen |= {entry.name: entry for entry in known.values() if name in (entry.name, entry.pack)}
    return list(chosen.values())


def check_languages(codes: list[str]) -> list[str]:
    """The codes, each once. Raises UsageError with the nearest names for one that has no language file."""
    for code in codes:
        known_languages.get(code)
    return list(dict.fromkeys(codes))


def incomplete(root: Path = data.TASKS) -> list[str]:
    """What is missing, one line each, for every language that has one embedded task to have them all."""
    embedded = [entry for entry in tasks(root).values() if "folder" in entry.source]
    covered = {entry.name: data.languages(entry.source) or [] for entry in embedded}
    started = {code for codes in covered.values() for code in codes}
    return [
        f"{entry.name}: no data for '{code}'; write {root / entry.source['folder'] / code}.jsonl"
        for entry in embedded
        for code in sorted(started - set(covered[entry.name]))
    ]


def without_embedded_data(root: Path = data.TASKS) -> list[str]:
    """The known languages in which no task is embedded: they need data that is downloaded, or prompts written."""
    embedded = [entry for entry in tasks(root).values() if "folder" in entry.source]
    started = {code for entry in embedded for code in data.languages(entry.source) or []}
    return [code for code in known_languages.known() if code not in started]
