"""What a training run needs, by arithmetic on the shape of its model: for planning, not measured.

For each trained weight: itself, its gradient, two moments of Adam; 16 bytes where weights are float32 (as ZeRO-3 and
FSDP keep their master copy), shared out over the processes of a sharded run. Where such a run is one process, autocast
keeps a copy of the weights in 16 bits, and the gradient of the largest weight is there twice while it is added.
Activations: what autograd keeps of a layer of Qwen2 and Llama in transformers (`KEPT`; the attention scores, which sdpa
and flash do not keep, are not in it); with gradient checkpointing one number for each token, layer and unit of width,
and one layer whole. Logits: 12 bytes for each token and entry of the vocabulary. On top a tenth for buffers; without a
GPU a quarter, since the C library holds on to blocks that were freed.
"""

import math
from dataclasses import dataclass
from typing import Any

from mlc_bench.baselines.config import TrainConfig

RESUMABLE = 2  # checkpoints: a kill while one is written leaves the other
CHECKPOINTS = RESUMABLE + 1  # while a third is written
BUFFERS = 1.1
BUFFERS_ON_CPU = 1.25
KEPT = {"float32": (48, 14), "autocast": (37, 8), "bfloat16": (28, 7)}
"""Bytes for each token and layer that autograd keeps, for each unit of the layer's width and of the width inside it."""


@dataclass(frozen=True)
class Need:
    """Sizes in bytes: `states` and `activations` for each process, `disk` for the output folder."""

    parameters: int
    trained: int
    layers: int
    processes: int
    states: int
    activations: int
    disk: int

    @property
    def memory(self) -> int:
        """What each process needs at its peak on a GPU."""
        return round(BUFFERS * (self.states + self.activations))

    @property
    def memory_on_cpu(self) -> int:
        """The same where there is no GPU."""
        return round(BUFFERS_ON_CPU * (self.states + self.activations))


def steps(config: TrainConfig, rows: int, processes: int = 1) -> int:
    """Optimizer steps of a run on so many rows; packing, which makes fewer rows of them, is left out."""
    if config.max_steps:
        return config.max_steps
    passes = math.ceil(rows / (config.batch_size * processes))
    return math.ceil(config.epochs * max(1, math.ceil(passes / config.accumulation)))


def saved(config: TrainConfig, steps: int) -> int:
    """Checkpoints that a run of so many steps writes; the last step always has one."""
    return math.ceil(steps / config.save_steps)


def checkpoints(config: TrainConfig, steps: int) -> int:
    """Checkpoints that are there at the end of a run of so many steps, before those that it does not keep go."""
    written = saved(config, steps)
    return written if config.keep_checkpoints == "all" else min(written, config.keep_checkpoints)


def need(shape: Any, config: TrainConfig, row: int, group: int, processes: int = 1, steps: int = 0) -> Need:
    """The need of a run on a model of this shape (a transformers configuration); no weight is loaded.

    `row`: most tokens of a row (with two responses, the prompt counts twice); `group`: of a row's prompts in all
    languages; `steps`: of the whole run, 0 where they are not known. Checkpoints that stay beyond the newest have no
    optimizer's state. Several processes share full weights (ZeRO-3, FSDP); an adapter's base is whole on each.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(shape)
    parameters = sum(weight.numel() for weight in model.parameters())
    text = shape.get_text_config()
    bytes_each = 2 if config.dtype == "bfloat16" else 4
    if config.lora is None:
        trained, shards = parameters, processes
        states = 4 * bytes_each * parameters // shards
        checkpoint = (bytes_each + 12) * parameters
        final = bytes_each * parameters
    else:
        trained = _adapter(model, config)
        states = bytes_each * parameters + 16 * trained  # peft keeps adapters in float32
        checkpoint, final = 16 * trained, 4 * trained
    if processes == 1 and bytes_each == 4:
        states += (2 if config.bf16 else 0) * parameters
        states += 4 * max(map(torch.Tensor.numel, model.parameters())) if config.lora is None else 0
    own = config.batch_size * row
    most = _activations(own, text, config) + 12 * own * text.vocab_size
    if config.mlc is not None:  # a pass of its own, without logits
        most = max(most, _activations(config.batch_size * group, text, config))
    whole = min(saved(config, steps) if steps else CHECKPOINTS, CHECKPOINTS)
    disk = final + whole * checkpoint + max(0, checkpoints(config, steps) - RESUMABLE) * final
    return Need(parameters, trained, text.num_hidden_layers, processes, states, most, disk)


def _adapter(model: Any, config: TrainConfig) -> int:
    """Weights of a LoRA adapter: rank times (in + out) for each linear layer that it is on, but the output."""
    import torch

    assert config.lora is not None
    targets, output = config.lora.targets, model.get_output_embeddings()
    return sum(
        config.lora.r * (module.in_features + module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module is not output
        and (targets == "all-linear" or name.rpartition(".")[2] in targets)
    )


def _activations(tokens: int, text: Any, config: TrainConfig) -> int:
    how = "bfloat16" if config.dtype == "bfloat16" else "autocast" if config.bf16 else "float32"
    for_width, for_inside = KEPT[how]
    width, layers = text.hidden_size, text.num_hidden_layers
    inside = getattr(text, "intermediate_size", None) or 4 * width
    whole = tokens * (for_width * width + for_inside * inside)
    if config.gradient_checkpointing:
        return (4 if how == "float32" else 2) * layers * tokens * width + whole
    return layers * whole
