"""The modules of a model that `lora.targets` names."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.core.errors import unknown


def require(config: TrainConfig, shape: Any) -> None:
    """Raises UsageError for a name that no module of a model of this shape (a transformers configuration) has.

    No weight is loaded. As for peft, a name is the last part of a module's path, or its last parts.
    """
    if config.lora is None or config.lora.targets == "all-linear":
        return
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    kinds = (torch.nn.Linear, torch.nn.Embedding, Conv1D)
    paths = [f".{path}" for path, module in model.named_modules() if isinstance(module, kinds)]
    for name in config.lora.targets:
        if not any(path.endswith(f".{name}") for path in paths):
            raise unknown("module in lora.targets:", name, {path.rpartition(".")[2] for path in paths})
