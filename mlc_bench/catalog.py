"""Tasks: found by reading the YAMLs of the task folders, without importing lm-eval or executing anything.

A task is ours (a YAML in a pack: a folder under `tasks/`, or under a folder named with --include), or it stands for a
family of lm-eval's own tasks, one or more for each language (a YAML in `mlc_bench/families`).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from mlc_bench import data
from mlc_bench import languages as known_languages
from mlc_bench.errors import UsageError, unknown
from mlc_bench.spec import digest

FAMILIES = Path(__file__).resolve().parent / "families"
Measures = Literal["safety", "over_refusal", "utility"]
MEASURES = ("safety", "over_refusal", "utility")
OURS = ("mlc_bench.data.load", "mlc_bench.scoring.")
"""What `!function` may name in any pack."""


@dataclass(frozen=True)
class TaskEntry:
    """One task YAML. `config` is its content with `!function` references left as text."""

    name: str
    pack: str
    path: Path
    config: dict[str, Any]
    included: bool = False
    """It comes from a folder named with --include."""
    code: list[tuple[int, str]] = field(default_factory=list)
    """Line and name of every `!function` that is not ours."""

    @property
    def version(self) -> int:
        return self.config["metadata"]["version"]

    @property
    def measures(self) -> Measures:
        """What a number of this task means: safety, over_refusal or utility."""
        return self.config["metadata"]["measures"]

    @property
    def headline(self) -> str:
        """The metric that tables show."""
        return {"safety": "safe_rate", "over_refusal": "over_refusal"}.get(self.measures) or self.config["metadata"][
            "headline"
        ]

    @property
    def summary(self) -> str:
        return self.config["metadata"].get("summary", "")

    @property
    def licence(self) -> str | None:
        """The licence of the data, and what it forbids."""
        return self.config["metadata"].get("licence")

    @property
    def parallel(self) -> bool:
        """Whether row k is the same prompt in every language."""
        return self.config["metadata"].get("parallel", True)

    @property
    def family(self) -> dict[str, str] | None:
        """`folder`, `task` and `codes` of lm-eval's own tasks; None for a task of ours."""
        return self.config.get("lm_eval")

    @property
    def source(self) -> dict[str, Any]:
        """Where the data come from; empty for lm-eval's own tasks, which see to that themselves."""
        if self.family:
            return {}
        return self.config["dataset_kwargs"] | {"root": str(self.path.parent.parent), "parallel": self.parallel}

    @property
    def card(self) -> str:
        """The card (Markdown): how the data were made, licence, known faults, checks by native speakers."""
        if self.family:
            return self.config["card"]
        return (self.path.parent / "card.md").read_text(encoding="utf-8")

    @property
    def identity(self) -> Any:
        """What tells two states of a task apart: its version; where somebody edits a pack of their own, its content."""
        if not self.included:
            return self.version
        folder = self.path.parent.parent / self.source.get("folder", "")
        rows = sorted(folder.glob("*.jsonl")) if "folder" in self.source else []
        return digest(self.version, [data.sha256(path.read_bytes()) for path in [self.path, *rows]])


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):
    """A safe loader that keeps `!function module.name` as the text `module.name`, and notes where those are."""

    functions: list[tuple[int, str]]


def _function(loader: _Loader, node: yaml.ScalarNode) -> str:
    name = str(loader.construct_scalar(node))
    loader.functions.append((node.start_mark.line + 1, name))
    return name


_Loader.add_constructor("!function", _function)


def read_yaml(path: Path, included: bool = False) -> TaskEntry:
    """One task file, checked. Raises UsageError naming the file and the problem (lm-eval would drop it silently)."""
    config, functions = _load(path)
    for key in ("task", "dataset_kwargs", "output_type", "metadata"):
        if key not in config:
            raise UsageError(f"{path}: the key '{key}' is missing")
    if not isinstance(config["task"], str):
        raise UsageError(f"{path}: 'task' must be a name")
    _check_source(config["dataset_kwargs"], path)
    _check_metadata(config["metadata"], path)
    code = [(line, name) for line, name in functions if not name.startswith(OURS)]
    return TaskEntry(config["task"], path.parent.name, path, config, included, code)


def read_family(path: Path) -> TaskEntry:
    """The YAML of a family of lm-eval's own tasks, checked as `read_yaml` does."""
    config, _ = _load(path)
    for key in ("task", "lm_eval", "output_type", "metadata", "card"):
        if key not in config:
            raise UsageError(f"{path}: the key '{key}' is missing")
    if not isinstance(config["lm_eval"], dict) or {"folder", "task", "codes"} - config["lm_eval"].keys():
        raise UsageError(f"{path}: 'lm_eval' must hold folder, task and codes")
    _check_metadata(config["metadata"], path)
    return TaskEntry(config["task"], "lm-eval", path, config)


def _load(path: Path) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        loader.functions = []
        config = loader.get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where}: malformed YAML ({getattr(error, 'problem', None) or error})") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: a task file is a mapping that starts with 'task: <name>'")
    return config, loader.functions


def _check_source(source: Any, path: Path) -> None:
    forms = {
        "folder": ("folder", "prompt_field"),
        "files": ("files", "path", "fields", "dataset"),
        "file": ("file", "sha256", "columns"),
    }
    form = next((key for key in forms if key in (source or ())), "file")
    if isinstance(source, dict) and "hub" in source:  # a revision pins it, and the first use its digest
        forms["file"] = ("file", "columns")
    if not isinstance(source, dict) or not all(source.get(key) for key in forms[form]):
        raise UsageError(f"{path}: 'dataset_kwargs' must hold {' and '.join(forms[form])}")
    if "hub" in source and not source.get("revision"):
        raise UsageError(f"{path}: 'dataset_kwargs' must hold the 'revision' of the hub's data set")
    if form == "files" and "prompt" not in source["fields"]:
        raise UsageError(f"{path}: 'fields' must name the column of the 'prompt'")


def _check_metadata(metadata: Any, path: Path) -> None:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("version"), int):
        raise UsageError(f"{path}: 'metadata' must be a mapping with a whole number as 'version'")
    if metadata.get("measures") not in MEASURES:
        raise UsageError(f"{path}: metadata 'measures' must be one of {', '.join(MEASURES)}")
    if metadata["measures"] == "utility" and not metadata.get("headline"):
        raise UsageError(f"{path}: metadata 'headline' must name the metric that tables show")


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
    for key in ("include", "dataset_path", "dataset_name", "class"):
        if key in entry.config:
            raise UsageError(f"{entry.path}: the key '{key}' can bring in code from elsewhere; {allow}")
    for metric in entry.config.get("metric_list") or []:
        if isinstance(metric, dict) and metric.get("hf_evaluate"):
            raise UsageError(f"{entry.path}: 'hf_evaluate' runs code from the hub; {allow}")
    if entry.config.get("custom_dataset") != OURS[0]:
        raise UsageError(f"{entry.path}: 'custom_dataset: !function {OURS[0]}' is missing")


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
