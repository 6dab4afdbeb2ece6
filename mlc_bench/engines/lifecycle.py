"""An engine's life: which one, its start, adapters on it, its end, and what to tell the user when it fails.

Each kind of engine is a module beside this one with `build(spec, identity, adapters)`.
"""

import contextlib
import ctypes
import gc
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM

from mlc_bench.core import processor
from mlc_bench.core.errors import PrerequisiteError, UsageError, UserError
from mlc_bench.core.spec import Engine, RunSpec
from mlc_bench.engines import hf, server, vllm, vllm_cpu
from mlc_bench.engines.adapters import names as adapter_names
from mlc_bench.engines.identity import Adapter, Identity
from mlc_bench.engines.metered import batch_size, brief


def build(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    """Start the engine that the spec names; `adapters` are those that `attach` will be called with.

    Raises PrerequisiteError where a package, the server or memory is missing, UsageError for an argument that the
    engine does not know.
    """
    if spec.engine != "openai":
        processor.keep_memory()
    try:
        return {"hf": hf, "vllm": vllm, "openai": server}[spec.engine].build(spec, identity, adapters)
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
            raise UsageError(f"--engine-args: {spec.engine} {str(error).split(') ')[-1]}") from error
        if explained := explain(error, spec):
            raise explained from error
        # vLLM's engine is another process: that its memory ran out does not reach us as such.
        memory = "; if memory ran out, lower max_model_len or gpu_memory_utilization" if spec.engine == "vllm" else ""
        raise PrerequisiteError(
            f"{spec.engine} does not start with '{spec.model}' ({brief(error)}); check --engine-args and the "
            f"model's files{memory}; --debug shows where it failed"
        ) from error


def default_engine() -> Engine:
    """vLLM where a GPU and vLLM are present, else transformers."""
    import torch

    return "vllm" if torch.cuda.is_available() and vllm_cpu.version("vllm") else "hf"


def attach(lm: LM, adapter: Adapter, index: int) -> None:
    """Let the engine answer with an adapter (from 1 on, `index` numbers the adapters of one engine)."""
    if getattr(lm, "is_merged", False):
        return
    if hasattr(lm, "lora_request"):
        from vllm.lora.request import LoRARequest

        lm.lora_request = LoRARequest(f"adapter-{index}", index, adapter.path)
        return
    from peft import PeftModel

    name = f"adapter-{index}"
    if isinstance(lm._model, PeftModel):
        folder = str(adapter_names.fitted(Path(adapter.path), lm._model.get_base_model()))
        lm._model.load_adapter(folder, adapter_name=name)
        lm._model.set_adapter(name)
    else:
        folder = str(adapter_names.fitted(Path(adapter.path), lm._model))
        lm._model = PeftModel.from_pretrained(lm._model, folder, adapter_name=name)
    lm._model.eval()


def close(lm: Any) -> None:
    """Stop the engine and give its memory back."""
    import torch

    model: Any = getattr(lm, "model", None)
    if hasattr(model, "llm_engine"):
        lm.reaper.kill()
        lm.reaper.wait()
        model.llm_engine.engine_core.shutdown()
    for name in ("_model", "model"):
        lm.__dict__.pop(name, None)
    del model
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # glibc keeps freed memory; the judge needs it
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def explain(error: Exception, spec: RunSpec) -> PrerequisiteError | None:
    """What to tell the user where an engine failed for want of memory, else None."""
    text = f"{type(error).__name__} {error}".lower()
    if isinstance(error, MemoryError) or any(
        words in text for words in ("outofmemory", "out of memory", "can't allocate memory")
    ):
        if spec.engine == "hf" and batch_size(spec) > 1:
            setting = f"--engine-args batch_size={batch_size(spec) // 2} (now {batch_size(spec)})"
        elif spec.engine == "hf":
            setting = "--max-tokens (batch_size is 1 already)"
        else:
            setting = {
                "vllm": "--engine-args max_model_len=... or gpu_memory_utilization=...",
                "openai": "--engine-args num_concurrent=...",
            }[spec.engine]
        return PrerequisiteError(
            f"out of memory; lower the setting {setting} and run again, finished responses are kept"
        )
    return None
