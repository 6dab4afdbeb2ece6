"""Tasks: found by reading the YAMLs of the task folders, without importing lm-eval or executing anything.

A task is ours (a YAML in a pack: a folder under `tasks/`, or under a folder named with --include), or it describes a
family of lm-eval's own tasks, one or more for each language (a YAML in `mlc_bench/catalog/families`).
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mlc_bench.catalog import data
from mlc_bench.catalog import languages as known_languages
from mlc_bench.catalog.languages import world
from mlc_bench.catalog.taskcheck import MEASURES as MEASURES
from mlc_bench.catalog.taskfile import LOADER, PLAIN_KEYS, TaskEntry, read_family, read_yaml
from mlc_bench.core import bounded
from mlc_bench.core.errors import UsageError, UserError, unknown
from mlc_bench.core.inside import inside
from mlc_bench.core.progress import say

FAMILIES = Path(__file__).resolve().parent / "families"

_included: list[Path] = []
_allow_code = [False]


@dataclass(frozen=True)
class Broken:
    """A task file of an included folder that cannot be used, and why. It spoils only what asks for it."""

    path: Path
    task: str | None
    """The name that the file gives its task, where that can be read."""
    error: UserError


@dataclass
class _Catalog:
    tasks: dict[str, TaskEntry] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)


def include(folders: Iterable[Path], allow_code: bool = False) -> None:
    """Look for task packs in these folders too, in this process; earlier calls are forgotten.

    A folder holds packs, or is one. A task file that cannot be used, or that names code where none is allowed, is left
    out, and that is said. Raises UsageError for a folder with no task file, and the first file's error for one of
    which none can be used.
    """
    _use([], allow_code)
    chosen = list(dict.fromkeys(folder.resolve() for folder in folders))
    for folder in chosen:
        if not _task_files(folder):
            raise UsageError(f"--include '{folder}': no task file '<pack>/<task>.yaml' there")
    _use(chosen, allow_code)
    catalog = _read(data.TASKS)
    usable = {entry.path for entry in catalog.tasks.values() if entry.included}
    for folder in chosen:
        broken = [one for one in catalog.broken if one.path.is_relative_to(folder)]
        if broken and not any(path in usable for path in _task_files(folder)):
            _use([], allow_code)
            raise broken[0].error
        for one in broken:
            say(f"left out: {one.error}")


@contextlib.contextmanager
def including(folders: Iterable[Path], allow_code: bool = False) -> Iterator[None]:
    """As `include`, until the end of the block: then what was included before is again."""
    before = list(_included), _allow_code[0]
    try:
        include(folders, allow_code)
        yield
    finally:
        _use(*before)


def _use(folders: list[Path], allow_code: bool) -> None:
    _included[:] = folders
    _allow_code[0] = allow_code
    _read.cache_clear()
    data.forget()  # a notebook outlives edits of its data


def code_is_allowed() -> bool:
    """Whether packs from elsewhere may run code of their own (--allow-code)."""
    return _allow_code[0]


def refuse_code(entry: TaskEntry) -> None:
    """Raises UsageError for a task that would run code other than ours."""
    allow = "add --allow-code if you trust it"
    for line, name in entry.code:
        raise UsageError(f"{entry.path}, line {line}: '!function {name}' would run code of this pack; {allow}")
    for key in entry.config:
        if key not in PLAIN_KEYS:
            raise UsageError(f"{entry.path}: the key '{key}' could bring in code from elsewhere; {allow}")
    for metric in entry.config.get("metric_list") or []:
        if metric.get("hf_evaluate"):
            raise UsageError(f"{entry.path}: 'hf_evaluate' runs code from the hub; {allow}")
    if entry.config.get("custom_dataset") != LOADER:
        raise UsageError(f"{entry.path}: 'custom_dataset: !function {LOADER}' is missing")


def _task_files(root: Path) -> list[Path]:
    """The task files of a folder of packs, or of one pack; those of hidden folders are no tasks."""
    paths = [*root.glob("*.yaml"), *root.glob("*/*.yaml")]
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(root).parts))


def tasks(root: Path = data.TASKS) -> dict[str, TaskEntry]:
    """Every task by name, in the order of packs, of what they measure, and of names; lm-eval's own come last."""
    return _read(root).tasks


@lru_cache(maxsize=4)
def _read(root: Path) -> _Catalog:
    catalog = _Catalog()
    found = _unique([read_yaml(path) for path in sorted(root.glob("*/*.yaml"))])
    families = {}
    if root == data.TASKS:
        families = {entry.name: entry for entry in map(read_family, sorted(FAMILIES.glob("*.yaml")))}
        owners = taken(found | families)
        for folder in _included:
            for path in _task_files(folder):
                _add(catalog, folder, path, owners, found)
    entries = sorted(found.values(), key=lambda one: (one.pack, MEASURES.index(one.measures), one.name))
    catalog.tasks = {entry.name: entry for entry in entries} | families
    return catalog


def _unique(entries: list[TaskEntry]) -> dict[str, TaskEntry]:
    found: dict[str, TaskEntry] = {}
    for entry in entries:
        if entry.name in found:
            raise UsageError(f"{entry.path}: the task name '{entry.name}' is taken by {found[entry.name].path}")
        found[entry.name] = entry
    return found


def taken(entries: dict[str, TaskEntry]) -> dict[str, str]:
    """Names that no other task may have, in small letters: some disks do not tell capitals apart. Who has each."""
    from mlc_bench.catalog import suites

    names = {name.casefold(): f"the suite {name}" for name in suites.known()}
    names |= {entry.pack.casefold(): str(entry.path.parent) for entry in entries.values()}
    return names | {name.casefold(): str(entry.path) for name, entry in entries.items()}


def _add(catalog: _Catalog, folder: Path, path: Path, owners: dict[str, str], found: dict[str, TaskEntry]) -> None:
    """One included task file among the tasks, or among what is broken."""
    if any(entry.path == path for entry in found.values()):  # the folder is in another one that is included
        return
    name = None
    try:
        inside(folder, path.relative_to(folder).as_posix(), f"{path}: the task file")
        name = _declared(path)
        entry = read_yaml(path, included=True)
        if (owner := owners.get(entry.name.casefold())) is not None:
            raise UsageError(f"{path}: the task name '{entry.name}' is taken by {owner}; choose another")
        if not _allow_code[0]:
            refuse_code(entry)
            check_templates(entry)
        if "folder" in entry.source:
            data.files(entry.source)
    except UserError as error:
        catalog.broken.append(Broken(path, name, error))
        return
    owners[entry.name.casefold()] = str(path)
    found[entry.name] = entry


def _declared(path: Path) -> str | None:
    """The name of a task as its file has it, whatever else is wrong with the file."""
    try:
        found = re.search(r"(?m)^task: *([^#\n]*)", bounded.read_text(path))
    except (UsageError, OSError, UnicodeDecodeError):
        return None
    return found[1].strip().strip("'\"") if found else None


def check_templates(entry: TaskEntry) -> None:
    """Raises UsageError for a template that cannot be read or is not allowed."""
    from mlc_bench.catalog import templates  # jinja2, which nobody else in here needs

    templates.check_syntax(entry.config, entry.path)


def select(names: list[str], root: Path = data.TASKS) -> list[TaskEntry]:
    """Task names, or names of packs for all tasks of a pack, to tasks; each once.

    Raises UsageError with the nearest names for one that is unknown, and the error of a task that cannot be used.
    """
    catalog = _read(root)
    return list({entry.name: entry for name in names for entry in _named(name, catalog)}.values())


def _named(name: str, catalog: _Catalog) -> list[TaskEntry]:
    """The task of a name, or the tasks of the pack. A task may have the name of its pack, with others beside it."""
    for broken in catalog.broken:
        if broken.task == name:
            raise broken.error
    if name in catalog.tasks:
        return [catalog.tasks[name]]
    own = [entry for entry in catalog.tasks.values() if entry.pack == name]
    own = [entry for entry in own if not entry.included] or own  # one from elsewhere adds nothing to a pack of ours
    folders = sorted({str(entry.path.parent) for entry in own if entry.included})
    if len(folders) > 1:
        raise UsageError(f"'{name}' is the name of {len(folders)} packs: {', '.join(folders)}; name their tasks")
    for broken in catalog.broken:
        is_meant = not own and name in (broken.path.parent.name, broken.path.stem)
        if is_meant or str(broken.path.parent) in folders:
            raise broken.error
    if not own:
        raise unknown("task", name, {*catalog.tasks, *(entry.pack for entry in catalog.tasks.values())})
    return own


def languages(entry: TaskEntry) -> list[str] | None:
    """The languages of a task: what its data say, or, without them, what the language files say of the data set.

    None where neither says.
    """
    if entry.family:
        return covered_by(entry.family["codes"])
    found = data.languages(entry.source)
    if found is None and "dataset" in entry.source:
        found = covered_by(entry.source["dataset"]) or None
    return found


def covered_by(dataset: str | None) -> list[str]:
    """The languages whose files say that a data set has them."""
    return [code for code in known_languages.known() if dataset in known_languages.get(code).codes]


def check_languages(codes: list[str]) -> list[str]:
    """The codes as ours (`zh_CN` is `zh`), each once. Raises UsageError with the nearest names for what is no code."""
    found = [world.of_tag(code) for code in codes]
    for code, ours in zip(codes, found, strict=True):
        if ours is None:
            known_languages.get(code)
    return list(dict.fromkeys(filter(None, found)))


def incomplete(root: Path = data.TASKS) -> list[str]:
    """What is missing, one line each, for every language that has one embedded task of a pack to have them all."""
    covered = _embedded(root)
    started: dict[str, set[str]] = {}
    for name, codes in covered.items():
        started.setdefault(tasks(root)[name].pack, set()).update(codes)
    return [
        f"{name}: no data for '{code}'; write {root / tasks(root)[name].source['folder'] / code}.jsonl"
        for name, codes in covered.items()
        for code in sorted(started[tasks(root)[name].pack] - set(codes))
    ]


def without_embedded_data(root: Path = data.TASKS) -> list[str]:
    """The known languages in which no task is embedded: they need data that is downloaded, or prompts written."""
    started = {code for codes in _embedded(root).values() for code in codes}
    return [code for code in known_languages.known() if code not in started]


def _embedded(root: Path) -> dict[str, list[str]]:
    return {
        entry.name: data.languages(entry.source) or []
        for entry in tasks(root).values()
        if "folder" in entry.source and not entry.included
    }
