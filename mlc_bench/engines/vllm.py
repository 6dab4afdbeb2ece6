"""The engine `vllm`: vLLM, on GPUs or on a CPU, through lm-eval's own class."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM
from lm_eval.api.registry import get_model

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import metered, vllm_cpu
from mlc_bench.engines.adapters import merging
from mlc_bench.engines.identity import Adapter, Identity
from mlc_bench.engines.settings import sampling
from mlc_bench.engines.settings.prompted import Prompted


def build(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    vllm_cpu.install()
    if importlib.util.find_spec("vllm") is None:
        raise PrerequisiteError("vLLM is not installed; run: pip install 'mlc-bench[vllm]', or use --engine hf")
    base = get_model("vllm")
    ends = sampling.end_tokens(Path(identity.path)) if identity.path else []

    class VLLM(Prompted, base):  # type: ignore[misc, valid-type]
        def modify_gen_kwargs(
            self, gen_kwargs: dict[str, Any], eos: str | None = None, default_max_gen_toks: int = 256
        ) -> tuple[dict[str, Any], list[str], int]:
            generation = sampling.of({"max_gen_toks": default_max_gen_toks} | gen_kwargs)
            made = generation.for_vllm() | {"stop_token_ids": ends}
            made |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
            stop = [*generation.stop, *([eos] if eos and eos not in generation.stop else [])]
            return made, stop, generation.max_tokens

        def _model_generate(
            self, requests: list[list[int]], generate: bool = False, sampling_params: Any = None
        ) -> Any:
            outputs = super()._model_generate(requests, generate, sampling_params)
            if generate:
                self.meter.pending.extend(
                    {
                        "tokens_in": len(output.prompt_token_ids),
                        "tokens_out": len(output.outputs[0].token_ids),
                        "truncated": output.outputs[0].finish_reason == "length",
                    }
                    for output in outputs
                )
            return outputs

    arguments: dict[str, Any] = {
        "pretrained": identity.path,
        "dtype": "auto",
        "batch_size": metered.chunk_size(spec),
        "seed": spec.seed,
        "use_tqdm_on_load": False,
        "generation_config": "vllm",  # not the checkpoint's
    }
    if vllm_cpu.version("vllm-cpu"):
        arguments["enforce_eager"] = True  # compiling takes longer than it saves on a small CPU
    why = merging.reason(spec, identity)
    if why:
        arguments["pretrained"] = str(merging.folder(identity, why))
    elif adapters:
        arguments |= {"enable_lora": True, "max_lora_rank": _lora_rank(adapters)}
    lm = metered.start(VLLM, arguments | spec.engine_args)
    sampling.let_end(lm.tokenizer, ends)
    lm.is_merged = bool(why)
    lm.reaper = _watch_children()
    return lm


_REAPER = """
import os, signal, sys
for pid in sys.stdin.read().split():  # until the process that writes is gone
    try:
        os.kill(int(pid), signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


def _watch_children() -> subprocess.Popen[str]:
    """A small process that ends ours' children when ours is killed: vLLM's engine would go on and keep its memory."""
    import psutil

    engine = psutil.Process().children(recursive=True)
    reaper = subprocess.Popen([sys.executable, "-c", _REAPER], stdin=subprocess.PIPE, text=True, start_new_session=True)
    assert reaper.stdin is not None
    reaper.stdin.write(" ".join(str(process.pid) for process in engine) + "\n")
    reaper.stdin.flush()
    return reaper


def _lora_rank(adapters: list[Adapter]) -> int:
    """The smallest rank that vLLM accepts and that holds every adapter."""
    needed = max(adapter.rank for adapter in adapters)
    return next((rank for rank in (8, 16, 32, 64, 128, 256, 320, 512) if rank >= needed), needed)
