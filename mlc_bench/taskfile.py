"""One task file: what it says, and whether it says it rightly. Nothing in it is executed.

A task is ours (a YAML that lm-eval reads too), or stands for a family of lm-eval's own tasks (`mlc_bench/families`).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from mlc_bench import data
from mlc_bench.errors import UsageError
from mlc_bench.spec import digest

Measures = Literal["safety", "over_refusal", "utility"]
MEASURES = ("safety", "over_refusal", "utility")
LOADER = "mlc_bench.data.load"
PLAIN_KEYS = {
    "task", "tag", "custom_dataset", "dataset_kwargs", "test_split", "output_type", "description", "doc_to_text",
    "doc_to_choice", "doc_to_target", "target_delimiter", "gen_prefix", "generation_kwargs", "num_fewshot", "repeats",
    "process_results", "filter_list", "metric_list", "metadata",
}  # fmt: skip
"""What a task file may hold in a pack that runs no code; lm-eval has keys that bring in other files or data sets."""


def is_ours(function: str) -> bool:
    """Whether `!function` names a function that any pack may use."""
    return function == LOADER or re.fullmatch(r"mlc_bench\.scoring\.[a-z_]+", function) is not None


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
        judged = {"safety": "safe_rate", "over_refusal": "over_refusal"}
        return judged.get(self.measures) or self.config["metadata"]["headline"]

    @property
    def summary(self) -> str:
        return self.config["metadata"].get("summary", "")

    @property
    def licence(self) -> str | None:
        """The licence of the data, and what it forbids."""
        return self.config["metadata"].get("licence")

    @property
    def caution(self) -> str | None:
        """What a reader of the task's numbers must know."""
        return self.config["metadata"].get("caution")

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
    code = [(line, name) for line, name in functions if not is_ours(name)]
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
    if "url" in source and not str(source["url"]).startswith("https://"):
        raise UsageError(f"{path}: 'url' must begin with https://")
    if form == "files" and "prompt" not in source["fields"]:
        raise UsageError(f"{path}: 'fields' must name the column of the 'prompt'")


def _check_metadata(metadata: Any, path: Path) -> None:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("version"), int):
        raise UsageError(f"{path}: 'metadata' must be a mapping with a whole number as 'version'")
    if metadata.get("measures") not in MEASURES:
        raise UsageError(f"{path}: metadata 'measures' must be one of {', '.join(MEASURES)}")
    if metadata["measures"] == "utility" and not metadata.get("headline"):
        raise UsageError(f"{path}: metadata 'headline' must name the metric that tables show")
