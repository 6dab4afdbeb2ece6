"""A suite file."""

from pathlib import Path
from typing import Any

from mlc_bench.catalog import languages, listing, suites
from mlc_bench.catalog.languages import world
from mlc_bench.contribute.validate import task
from mlc_bench.contribute.validate.source import Faults, Yaml, check_todo, is_text, quote, read_yaml
from mlc_bench.core.errors import UserError

REQUIRED = {"summary", "tasks"}
OPTIONAL = {"settings", "seen", "notes"}


def check(path: Path, faults: Faults) -> None:
    """Every fault of one suite file."""
    found = read_yaml(path, faults)
    if path.suffix != ".yaml":
        faults.add(path, 1, "is not read: its name does not end in .yaml", "name it .yaml")
    if found is None:
        return
    check_todo(found, faults)
    if not isinstance(found.value, dict):
        faults.add(path, 1, "is not a mapping of keys to values", "write summary and tasks, as in quick.yaml")
        return
    for key in found.value:
        if key not in REQUIRED | OPTIONAL:
            fix = task.nearest(key, REQUIRED | OPTIONAL, f"known: {', '.join(sorted(REQUIRED | OPTIONAL))}")
            faults.add(path, found.line(key), f"unknown key {quote(key)}", fix)
    for key in sorted(REQUIRED - set(found.value)):
        faults.add(path, 1, f"the key '{key}' is missing", "add it, as in quick.yaml")
    for key in ("summary", "notes"):
        if key in found.value and not is_text(found.value[key]):
            faults.add(path, found.line(key), f"'{key}' is not text", "say in a line what the suite is for")
    _check_tasks(found, faults)
    _check_settings(found, faults)


def _check_tasks(found: Yaml, faults: Faults) -> None:
    try:
        entries = listing.tasks()
    except UserError:
        return  # a task file has faults, which are named where it is checked
    names = entries.keys() | {entry.pack for entry in entries.values()}
    listed = found.value.get("tasks")
    if "tasks" in found.value and (not isinstance(listed, list) or not listed):
        faults.add(found.path, found.line("tasks"), "'tasks' is not a list", "write [task, task, ...]")
        return
    seen: set[str] = set()
    for index, name in enumerate(listed or []):
        line = found.line("tasks", index)
        if not is_text(name) or name not in names:
            fix = task.nearest(name, names, "see: mlc-bench tasks list")
            faults.add(found.path, line, f"there is no task {quote(name)}", fix)
        elif name in seen:
            faults.add(found.path, line, f"the task '{name}' appears twice", "keep one")
        else:
            seen.add(name)
    if "seen" in found.value and (not is_text(found.value["seen"]) or found.value["seen"] not in names):
        what = f"'seen' names no task: {quote(found.value['seen'])}"
        faults.add(found.path, found.line("seen"), what, "name the task whose languages training has seen")


def _check_settings(found: Yaml, faults: Faults) -> None:
    settings: Any = found.value.get("settings", {})
    if not isinstance(settings, dict):
        faults.add(found.path, found.line("settings"), "'settings' is not a mapping", "write {limit: 10}")
        return
    for key, value in settings.items():
        line = found.line("settings", key)
        kind = suites.SETTINGS.get(key) if isinstance(key, str) else None
        if kind is None:
            fix = task.nearest(key, suites.SETTINGS, f"known: {', '.join(suites.SETTINGS)}")
            faults.add(found.path, line, f"unknown setting {quote(key)}", fix)
        elif type(value) is not kind or (isinstance(value, int) and value < 1):
            expected = {int: "a whole number from 1 on", list: "a list of codes", str: "text"}.get(kind, kind.__name__)
            faults.add(found.path, line, f"'{key}' is {quote(value)}", f"write {expected}")
        elif isinstance(value, list):  # of languages
            for index, code in enumerate(value):
                if not is_text(code) or world.of_tag(code) != code:
                    at = found.line("settings", key, index)
                    fix = task.nearest(code, languages.known(), "write its code, such as nl or zh-Hant")
                    faults.add(found.path, at, f"{quote(code)} is no known language", fix)
