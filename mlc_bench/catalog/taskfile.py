"""One task file: what it says, and whether it says it rightly. Nothing in it is executed.

A task is ours (a YAML that lm-eval reads too), or describes a family of lm-eval's own tasks (in `families/`).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from mlc_bench.catalog import data, taskcheck
from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import inside
from mlc_bench.core.names import check_name
from mlc_bench.core.spec import digest

Measures = Literal["safety", "over_refusal", "utility"]
LOADER = "mlc_bench.data.load"
PLAIN_KEYS = {
    "task", "tag", "custom_dataset", "dataset_kwargs", "test_split", "output_type", "description", "doc_to_text",
    "doc_to_choice", "doc_to_target", "target_delimiter", "gen_prefix", "generation_kwargs", "num_fewshot", "repeats",
    "process_results", "filter_list", "metric_list", "metadata",
}  # fmt: skip
"""What a task file may hold in a pack that runs no code; lm-eval has keys that bring in other files or data sets."""


SCORERS = {f"mlc_bench.scoring.{name}" for name in ("safety", "over_refusal", "number", "choice")}


def is_ours(function: str) -> bool:
    """Whether `!function` names a function that any pack may use."""
    return function == LOADER or function in SCORERS


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
        """The metric that tables show; empty where the judge decides it."""
        return self.config["metadata"].get("headline", "")

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
        known = {"root": str(self.path.parent.parent), "parallel": self.parallel}
        if self.included:  # it may name nothing outside of itself
            known["pack"] = str(self.path.parent)
        return self.config["dataset_kwargs"] | known

    @property
    def card(self) -> str:
        """The card (Markdown): how the data were made, licence, known faults, checks by native speakers.

        Raises UsageError where it is absent or cannot be read.
        """
        if self.family:
            return self.config["card"]
        path = inside(self.path.parent, "card.md", f"{self.path.parent}: the card")
        try:
            return bounded.read_text(path)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read ({error}); write it in UTF-8") from None

    @property
    def identity(self) -> Any:
        """What tells two states of a task apart: its version; where somebody edits a pack of their own, its content."""
        if not self.included:
            return self.version
        found = data.files(self.source).values() if "folder" in self.source else []
        rows = [path for path in found if path.is_file()]  # who reads another is told
        return digest(self.version, [data.sha256(bounded.read_bytes(path)) for path in [self.path, *rows]])


class _Loader(safe_yaml.SafeLoader):
    """A safe loader that keeps `!function module.name` as the text `module.name`, and notes where those are."""

    functions: list[tuple[int, str]]


def _function(loader: _Loader, node: yaml.ScalarNode) -> str:
    name = str(loader.construct_scalar(node))
    loader.functions.append((node.start_mark.line + 1, name))
    return name


_Loader.add_constructor("!function", _function)


def read_yaml(path: Path, included: bool = False) -> TaskEntry:
    """One task file, checked. Raises UsageError naming the file and the problem (lm-eval would drop it silently)."""
    config, functions, text = _load(path)
    with safe_yaml.naming_lines(path, text):
        name = _checked(config, ("task", "dataset_kwargs", "output_type", "metadata"), path)
        check_name(path.parent.name, "pack", str(path))
        taskcheck.check_source(config["dataset_kwargs"], path, included)
    code = [(line, name) for line, name in functions if not is_ours(name)]
    return TaskEntry(name, path.parent.name, path, config, included, code)


def read_family(path: Path) -> TaskEntry:
    """The YAML of a family of lm-eval's own tasks, checked as `read_yaml` does."""
    config, _, text = _load(path)
    with safe_yaml.naming_lines(path, text):
        name = _checked(config, ("task", "lm_eval", "output_type", "metadata", "card"), path)
        if not isinstance(config["lm_eval"], dict) or {"folder", "task", "codes"} - config["lm_eval"].keys():
            raise UsageError(f"{path}: 'lm_eval' must hold folder, task and codes")
    return TaskEntry(name, "lm-eval", path, config)


def _checked(config: dict[str, Any], keys: tuple[str, ...], path: Path) -> str:
    """The task's name, where its file has all the keys and what they hold can be used."""
    for key in keys:
        if key not in config:
            raise UsageError(f"{path}: the key '{key}' is missing")
    name = check_name(config["task"], "task", f"{path}: 'task' must be a name")
    taskcheck.check_metadata(config["metadata"], path)
    taskcheck.check_shapes(config, path)
    return name


def _load(path: Path) -> tuple[dict[str, Any], list[tuple[int, str]], str]:
    """What a file holds, line and name of its functions, and its text."""
    try:
        text = bounded.read_text(path)
        safe_yaml.check(text)
        loader = _Loader(text)
        loader.functions = []
        config = safe_yaml.built(loader.get_single_data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise safe_yaml.malformed(path, error) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: a task file is a mapping that starts with 'task: <name>'")
    return config, loader.functions, text
