"""Names of modules in adapters, in checkpoints and in loaded models, which differ for one and the same module.

A vision-language model keeps its text part as `language_model.model.layers...` in the file and as
`model.language_model.layers...` in memory; an adapter that was trained on the text part alone says `model.layers...`.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import cache_dir
from mlc_bench.core.errors import UsageError

_WRAPPERS = {"model", "language_model", "text_model", "vision_model", "base_model"}
_PREFIX = "base_model.model."
_PART = re.compile(r"(\.lora_.*|(\.base_layer)?\.(weight|bias))$")


def canonical(module: str) -> str:
    """A module's name without the wrappers around it: `layers.0.self_attn.q_proj`."""
    return ".".join(part for part in module.split(".") if part not in _WRAPPERS)


def split(key: str) -> tuple[str, str]:
    """Module and rest of an adapter's tensor: `model.layers.0.mlp.up_proj` and `.lora_A.weight`."""
    name = key.removeprefix(_PREFIX)
    part = _PART.search(name)
    return (name[: part.start()], part[0]) if part else (name, "")


def modules_of(folder: Path) -> dict[str, list[int]]:
    """The weights' shapes of all modules of a model by canonical name, as transformers builds it; none are loaded.

    Empty where transformers cannot build it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    except Exception:  # any model's own code: the files' names have to do
        return {}
    return {
        canonical(name): list(module.weight.shape)
        for name, module in model.named_modules()
        if getattr(module, "weight", None) is not None
    }


def fitted(adapter: Path, model: Any) -> Path:
    """The adapter's folder, or a copy whose tensors are named as the model's modules are, in the cache.

    peft would pass silently over a tensor whose module it does not find. Raises UsageError for such a tensor.
    """
    from safetensors import safe_open

    weights = adapter / "adapter_model.safetensors"
    with safe_open(weights, framework="pt") as file:
        keys = list(file.keys())
    known = {name for name, _ in model.named_modules()}
    wanted = {split(key)[0] for key in keys if ".lora_" in key}  # tensors of other methods name no module
    if wanted <= known:
        return adapter
    return _copy(adapter, weights, _renamed(wanted, known, adapter))


def _renamed(wanted: Iterable[str], known: set[str], adapter: Path) -> dict[str, str]:
    by_name = {canonical(name): name for name in sorted(known)}
    renamed = {}
    for module in sorted(wanted):
        name = module if module in known else by_name.get(canonical(module))
        if name is None:
            raise UsageError(f"the adapter {adapter} does not fit the model: '{module}' is absent there")
        renamed[module] = name
    return renamed


def _copy(adapter: Path, weights: Path, renamed: dict[str, str]) -> Path:
    from safetensors.torch import load_file, save_file

    from mlc_bench.core.spec import digest
    from mlc_bench.records.record import write_text

    stat = weights.stat()
    target = cache_dir() / "adapters" / digest(str(weights.resolve()), stat.st_size, stat.st_mtime_ns, renamed)[:16]
    target.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for key, tensor in load_file(weights).items():
        module, part = split(key)
        tensors[f"{_PREFIX}{renamed.get(module, module)}{part}"] = tensor
    config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    config["target_modules"] = sorted({renamed[split(key)[0]] for key in load_file(weights) if ".lora_" in key})
    config["exclude_modules"] = None
    for pattern in ("rank_pattern", "alpha_pattern"):
        config[pattern] = {renamed.get(name, name): value for name, value in (config.get(pattern) or {}).items()}
    save_file(tensors, target / weights.name)
    write_text(target / "adapter_config.json", json.dumps(config, indent=1))
    return target
