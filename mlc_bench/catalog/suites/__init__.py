"""Suites: tasks that belong together, with their settings; one file `<name>.yaml` beside this one each."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.core.names import is_name

FOLDER = Path(__file__).resolve().parent
SETTINGS = {"languages": list, "limit": int, "max_tokens": int, "system_prompt": str}
"""What a suite may set: options of `mlc-bench run`, which override it where they are given."""


@dataclass(frozen=True)
class Suite:
    """One suite as its file describes it."""

    name: str
    summary: str
    """One line for lists."""
    tasks: list[str]
    """Names of tasks, or of their folders."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Options of `mlc-bench run` that hold unless they are given there."""
    seen: str | None = None
    """A task whose languages count as seen in training; the other languages of the suite's tasks are unseen."""
    notes: str = ""
    """What a reader of the numbers must know."""


def known() -> list[str]:
    """The names of all suites, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if is_name(path.stem))


@cache
def get(name: str) -> Suite:
    """The suite of this name. Raises UsageError with the nearest names, or naming the file and its wrong key."""
    import yaml

    if name not in known():
        raise unknown("suite", name, known())
    path = FOLDER / f"{name}.yaml"
    try:
        text = bounded.read_text(path)
        values = safe_yaml.load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise safe_yaml.malformed(path, error) from None
    with safe_yaml.naming_lines(path, text):
        _check(values, path)
    return Suite(name, **values)


def _check(values: Any, path: Path) -> None:
    from mlc_bench.catalog import listing

    keys = {"summary": str, "tasks": list, "settings": dict, "seen": str, "notes": str}
    whole = UsageError(f"{path}: a suite has the keys summary and tasks, and may have settings, seen and notes")
    if not isinstance(values, dict):
        raise whole
    for what, allowed, given in (("key", keys, values), ("setting", SETTINGS, values.get("settings") or {})):
        for key, value in given.items():
            if key not in allowed:
                raise UsageError(f"{path}: unknown {what} '{key}'; known: {', '.join(sorted(allowed))}")
            if not isinstance(value, allowed[key]):
                raise UsageError(f"{path}: '{key}' must be of type {allowed[key].__name__}")
    if not {"summary", "tasks"} <= values.keys():
        raise whole
    try:
        listing.select([*values["tasks"], *filter(None, [values.get("seen")])])
        listing.check_languages(values.get("settings", {}).get("languages", []))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def expand(names: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Names of suites, tasks and packs to names of tasks and packs, and the settings of the suites among them.

    Raises UsageError where two suites differ in a setting.
    """
    expanded: list[str] = []
    settings: dict[str, Any] = {}
    for name in names:
        if name not in known():
            expanded.append(name)
            continue
        suite = get(name)
        expanded += suite.tasks
        for key, value in suite.settings.items():
            if settings.setdefault(key, value) != value:
                raise UsageError(f"the suites asked for differ in {key}; give it yourself, or run them one by one")
    return expanded, settings
