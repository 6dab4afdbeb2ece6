"""Task files made ready for lm-eval, without running what a pack from elsewhere brings along."""

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import lm_eval.utils
import yaml
from lm_eval.api.registry import metric_registry
from lm_eval.tasks._yaml_loader import load_yaml

from mlc_bench.catalog import listing, templates
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.catalog.taskfile import is_ours
from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError


@contextlib.contextmanager
def rendering() -> Iterator[None]:
    """Around the loading and answering of tasks: at the end lm-eval has its own Jinja again, whatever `config` set."""
    before = lm_eval.utils.env
    try:
        yield
    finally:
        lm_eval.utils.env = before


def config(entry: TaskEntry) -> dict[str, Any]:
    """A task's configuration with its functions resolved.

    lm-eval looks for `!function mlc_bench.data.load` beside the task file first, where a pack could put code of that
    name; it renders prompts with a Jinja that can reach Python; and it loads a metric that it does not know from the
    hub. So a pack whose code is not allowed is resolved here, rendered in a sandbox, and keeps to known metrics.
    """
    if not entry.included or listing.code_is_allowed():
        return dict(load_yaml(entry.path))
    found: dict[str, Any] = safe_yaml.load(bounded.read_text(entry.path), _OurFunctions)
    if not isinstance(lm_eval.utils.env, _Chosen):
        lm_eval.utils.env = _Chosen(lm_eval.utils.env)
    lm_eval.utils.env.add(found)
    for metric in found.get("metric_list") or []:
        if "process_results" not in found and metric["metric"] not in metric_registry:
            raise UsageError(
                f"{entry.path}: lm-eval does not know the metric '{metric['metric']}' and would look for its code on "
                "the hub; add --allow-code if you trust it"
            )
    return found


class _Chosen:
    """Two Jinjas in the place of lm-eval's: a sandbox for templates of packs from elsewhere, its own for all others."""

    def __init__(self, before: Any) -> None:
        self.before = before
        self.sandbox = templates.environment()
        self.foreign: set[str] = set()

    def add(self, value: Any) -> None:
        """Every text in a task's configuration may be a template."""
        if isinstance(value, str):
            self.foreign.add(value)
        elif isinstance(value, dict | list):
            for part in value.values() if isinstance(value, dict) else value:
                self.add(part)

    def from_string(self, source: str) -> Any:
        return (self.sandbox if source in self.foreign else self.before).from_string(source)


class _OurFunctions(yaml.SafeLoader):
    """A safe loader that knows the functions of mlc_bench that any pack may name, and no others."""


def _function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    name = str(loader.construct_scalar(node))
    if not is_ours(name):
        raise UsageError(f"'!function {name}' would run code; add --allow-code if you trust it")
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


_OurFunctions.add_constructor("!function", _function)
