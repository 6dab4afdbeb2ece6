"""--engine-args, looked at before an engine starts: what a run would refuse then, a dry run refuses, too."""

import ast
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lm_eval.api.registry import get_model

from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import metered
from mlc_bench.engines.identity import Identity
from mlc_bench.engines.servers import options

_LM_EVALS_VLLM = ("lm_eval", "models/vllm_causallms.py", "VLLM")


def check(spec: RunSpec, identity: Identity) -> None:
    """Raises UsageError for an argument that the engine does not know, and for values that it cannot have.

    Where it is not known what an engine takes (it is not installed, or the model brings its own code) nothing is said.
    """
    if spec.engine == "openai":
        options.options(spec)
        return
    metered.batch_size(spec)
    if not spec.engine_args.keys() - {"batch_size"}:
        return  # what follows imports the engine
    if spec.engine == "hf":
        _check_dtype(spec.engine_args.get("dtype", "auto"))
        if not spec.engine_args.get("trust_remote_code"):
            own = _names(get_model("hf").__init__)
            _refuse(spec, own | _of_transformers(identity), own)
    elif taken := _of_vllm():
        _refuse(spec, taken, _declared(*_LM_EVALS_VLLM))


def _refuse(spec: RunSpec, taken: set[str], offered: Iterable[str]) -> None:
    for name in spec.engine_args:
        if name not in taken:
            raise unknown("argument in --engine-args:", name, offered)


def _check_dtype(dtype: Any) -> None:
    import torch

    if dtype not in (None, "auto") and not isinstance(getattr(torch, str(dtype), None), torch.dtype):
        raise UsageError(f"--engine-args dtype={dtype}: no type of numbers; give auto, float32, bfloat16 or float16")


def _of_transformers(identity: Identity) -> set[str]:
    """What `from_pretrained` takes besides what its signature says, and the settings of the model's configuration."""
    from transformers import AutoConfig, PreTrainedModel
    from transformers.models.auto.auto_factory import _BaseAutoModelClass

    readers = (PreTrainedModel.from_pretrained, _BaseAutoModelClass.from_pretrained, get_model("hf")._create_model)
    in_text = {name for reader in readers for name in re.findall(r'"([a-z_]\w*)"', inspect.getsource(reader))}
    named = {name for reader in readers for name in _names(reader)}
    return in_text | named | set(dir(AutoConfig.from_pretrained(identity.path)))


def _of_vllm() -> set[str]:
    """What vLLM takes, and lm-eval's class for it; empty where it is not installed.

    Read from their files: importing vLLM takes a minute, which a dry run must not.
    """
    fields = _declared("vllm", "engine/arg_utils.py", "EngineArgs")
    parameters = _declared("vllm", "entrypoints/llm.py", "LLM")
    return fields | parameters | _declared(*_LM_EVALS_VLLM) if fields and parameters else set()


def _declared(package: str, file: str, name: str) -> set[str]:
    """The fields of a class and the parameters of its `__init__`, as a package's file declares them."""
    found = importlib.util.find_spec(package)
    path = Path(found.origin or "").parent / file if found else Path()
    if not path.is_file():
        return set()
    body = [one for one in ast.parse(path.read_bytes()).body if isinstance(one, ast.ClassDef) and one.name == name]
    names = set()
    for part in body[0].body if body else ():
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            names.add(part.target.id)
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            names |= {one.arg for one in (*part.args.args, *part.args.kwonlyargs)}
    return names - {"self"}


def _names(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "args", "kwargs"}
