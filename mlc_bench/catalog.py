"""Tasks: found by reading the YAMLs of the task folders, without importing lm-eval or executing anything.

A task is ours (a YAML in a pack: a folder under `tasks/`, or under a folder named with --include), or it stands for a
family of lm-eval's own tasks, one or more for each language (a YAML in `mlc_bench/families`).
"""

from functools import lru_cache
from pathlib import Path

from mlc_bench import data
from mlc_bench import languages as known_languages
from mlc_bench.errors import UsageError, unknown
from mlc_bench.taskfile import LOADER, PLAIN_KEYS, TaskEntry, read_family, read_yaml
from mlc_bench.taskfile import MEASURES as MEASURES

FAMILIES = Path(__file__).resolve().parent / "families"

_included: list[Path] = []
_allow_code = [False]


def include(folders: list[Path], allow_code: bool = False) -> None:
    """Look for task packs in these folders too, in this process; earlier calls are forgotten.

    A folder holds packs, or is one. Raises UsageError for one that has no task file, and, unless code is allowed, for
    a task file that names code or brings in another file.
    """
    _included.clear()
    _allow_code[0] = allow_code
    _read.cache_clear()
    for folder in folders:
        paths = _task_files(folder)
        if not paths:
            raise UsageError(f"--include '{folder}': no task file '<pack>/<task>.yaml' there")
        for path in paths:
            entry = read_yaml(path, included=True)
            if not allow_code:
                _refuse_code(entry)
    _included.extend(folder.resolve() for folder in folders)


def code_is_allowed() -> bool:
    """Whether packs from elsewhere may run code of their own (--allow-code)."""
    return _allow_code[0]


def _refuse_code(entry: TaskEntry) -> None:
    allow = "add --allow-code if you trust it"
    for line, name in entry.code:
        raise UsageError(f"{entry.path}, line {line}: '!function {name}' would run code of this pack; {allow}")
    for key in entry.config:
        if key not in PLAIN_KEYS:
            raise UsageError(f"{entry.path}: the key '{key}' could bring in code from elsewhere; {allow}")
    for metric in entry.config.get("metric_list") or []:
        if isinstance(metric, dict) and metric.get("hf_evaluate"):
            raise UsageError(f"{entry.path}: 'hf_evaluate' runs code from the hub; {allow}")
    if entry.config.get("custom_dataset") != LOADER:
        raise UsageError(f"{entry.path}: 'custom_dataset: !function {LOADER}' is missing")


def _task_files(root: Path) -> list[Path]:
    """The task files of a folder of packs, or of one pack."""
    return sorted([*root.glob("*.yaml"), *root.glob("*/*.yaml")])


def tasks(root: Path = data.TASKS) -> dict[str, TaskEntry]:
    """Every task by name, in the order of packs, of what they measure, and of names; lm-eval's own come last."""
    return _read(root)


@lru_cache(maxsize=4)
def _read(root: Path) -> dict[str, TaskEntry]:
    own = [read_yaml(path) for path in sorted(root.glob("*/*.yaml"))]
    if root == data.TASKS:
        own += [read_yaml(path, included=True) for folder in _included for path in _task_files(folder)]
    found: dict[str, TaskEntry] = {}
    for entry in sorted(own, key=lambda entry: (entry.pack, MEASURES.index(entry.measures), entry.name)):
        if entry.name in found:
            first, second = sorted([entry.path, found[entry.name].path])
            raise UsageError(f"{second}: the task name '{entry.name}' is taken by {first}")
        found[entry.name] = entry
    if root == data.TASKS:
        found |= {entry.name: entry for entry in map(read_family, sorted(FAMILIES.glob("*.yaml")))}
    return found


def select(names: list[str], root: Path = data.TASKS) -> list[TaskEntry]:
    """Task names, or names of packs for all tasks of a pack, to tasks; each once."""
    known = tasks(root)
    packs = {entry.pack for entry in known.values()}
    chosen: dict[str, TaskEntry] = {}
    for name in names:
        if name not in known and name not in packs:
            raise unknown("task", name, known.keys() | packs)
        # A task may bear the name of its pack, in which others stand beside it (xstest).
        wanted = {name} if name in known else {entry.name for entry in known.values() if entry.pack == name}
        chosen |= {entry.name: entry for entry in known.values() if entry.name in wanted}
    return list(chosen.values())


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
    """The codes, each once. Raises UsageError with the nearest names for one that has no language file."""
    for code in codes:
        known_languages.get(code)
    return list(dict.fromkeys(codes))


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
