"""Task files made ready for lm-eval, without running what a pack from elsewhere brings along."""

import importlib
from typing import Any

import lm_eval.utils
import yaml
from jinja2.sandbox import SandboxedEnvironment
from lm_eval.api.registry import metric_registry
from lm_eval.tasks._yaml_loader import load_yaml

from mlc_bench import catalog
from mlc_bench.catalog import TaskEntry
from mlc_bench.errors import UsageError
from mlc_bench.taskfile import is_ours


def config(entry: TaskEntry) -> dict[str, Any]:
    """A task's configuration with its functions resolved.

    lm-eval looks for `!function mlc_bench.data.load` beside the task file first, where a pack could put code of that
    name; it renders prompts with a Jinja that can reach Python; and it loads a metric that it does not know from the
    hub. So a pack whose code is not allowed is resolved here, rendered in a sandbox, and keeps to known metrics.
    """
    if not entry.included or catalog.code_is_allowed():
        return dict(load_yaml(entry.path))
    if not isinstance(lm_eval.utils.env, SandboxedEnvironment):
        sandbox = SandboxedEnvironment(
            loader=lm_eval.utils.env.loader,
            undefined=lm_eval.utils.env.undefined,
            keep_trailing_newline=lm_eval.utils.env.keep_trailing_newline,
        )
        sandbox.filters.update(lm_eval.utils.env.filters)
        lm_eval.utils.env = sandbox
    found: dict[str, Any] = yaml.load(entry.path.read_text(encoding="utf-8"), Loader=_OurFunctions)
    for metric in found.get("metric_list") or []:
        if "process_results" not in found and metric["metric"] not in metric_registry:
            raise UsageError(
                f"{entry.path}: lm-eval does not know the metric '{metric['metric']}' and would look for its code on "
                "the hub; add --allow-code if you trust it"
            )
    return found


class _OurFunctions(yaml.SafeLoader):
    """A safe loader that knows the functions of mlc_bench that any pack may name, and no others."""


def _function(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    name = str(loader.construct_scalar(node))
    if not is_ours(name):
        raise UsageError(f"'!function {name}' would run code; add --allow-code if you trust it")
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module), function)


_OurFunctions.add_constructor("!function", _function)
