"""How long a training run takes on this machine: one layer of its model, with random weights, is timed now.

A pass through the model takes as long as its layers and its output one after the other, and a step as long as its
passes and the update. What depends on nothing that is trained (loading, saving, scores, the judge of a reward) is not
in it. The machine is timed as it is: other work on it counts.
"""

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlc_bench.baselines.config import TrainConfig

_ROUNDS = 3  # of which the fastest counts: the first one warms up
_UPDATED = 1 << 22  # weights of the update that is timed
_BACKWARD = 2  # what a backward pass takes more than a forward pass


@dataclass(frozen=True)
class Batch:
    """What goes through the model at once: so many sequences of so many tokens, means over the data."""

    sequences: int
    tokens: int


@dataclass(frozen=True)
class Work:
    """What a run does, from its settings and data.

    `row`: a micro-batch of rows with their responses. `group`: of prompts in all languages that MLC reads, or None.
    `answered`: prompts that the model answers in a step, or None. `reference`: micro-batches whose log-probabilities
    are worked out before training.
    """

    row: Batch
    group: Batch | None = None
    answered: Batch | None = None
    reference: int = 0


@dataclass(frozen=True)
class Duration:
    """Seconds of a step, mean over those with MLC's prompts and those without, and of what comes before the first."""

    step: float
    before: float

    def of(self, steps: int) -> float:
        """Seconds of a run of so many steps."""
        return self.before + steps * self.step


def measure(shape: Any, config: TrainConfig, work: Work, layer: int) -> Duration:
    """The duration on one process. `layer`: the one after which MLC reads.

    Raises RuntimeError and ValueError of torch and transformers where one layer of the model cannot be made here.
    """
    timed = _Timed(shape, config)
    micro = timed.layers * timed.one_layer(work.row) + timed.output(work.row)
    seconds = config.accumulation * micro + timed.update()
    if config.mlc and work.group:
        seconds += config.accumulation * layer * timed.one_layer(work.group) / config.mlc.every
    if work.answered:
        token = Batch(work.answered.sequences, 1)
        prompt, one = (timed.layers * timed.one_layer(batch, trains=False) for batch in (work.answered, token))
        seconds += prompt + getattr(config, "answer_tokens", 0) * (one + timed.output(token, trains=False))
    return Duration(seconds, work.reference * micro / (1 + _BACKWARD))


class _Timed:
    """Parts of a model of this shape, timed."""

    def __init__(self, shape: Any, config: TrainConfig) -> None:
        from transformers import AutoModelForCausalLM

        one = copy.deepcopy(shape)
        text = one.get_text_config()
        self.layers, self.vocabulary, self.width = text.num_hidden_layers, text.vocab_size, text.hidden_size
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
        self.config = config
        text.num_hidden_layers, text.vocab_size = 1, 8
        text.pad_token_id = text.bos_token_id = text.eos_token_id = None
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[-1:]
        self.model = AutoModelForCausalLM.from_config(one).base_model.to(self.device, self.dtype)
        # An adapter's base gets no gradients of its own, and its layers those of what goes through them.
        self.model.requires_grad_(config.lora is None)
        self.model.get_input_embeddings().weight.requires_grad_(True)

    def one_layer(self, batch: Batch, trains: bool = True) -> float:
        """Seconds of a pass through one layer, with its backward pass where it trains."""
        ids = torch.zeros(batch.sequences, max(1, batch.tokens), dtype=torch.long, device=self.device)
        return self._pass(lambda: self.model(input_ids=ids, use_cache=False).last_hidden_state.float().sum(), trains)

    def output(self, batch: Batch, trains: bool = True) -> float:
        """Seconds of the log-probabilities of all tokens, with the backward pass where they train."""
        count = batch.sequences * max(1, batch.tokens)
        states = torch.zeros(count, self.width, dtype=self.dtype, device=self.device, requires_grad=True)
        weight = torch.zeros(self.vocabulary, self.width, dtype=self.dtype, device=self.device)
        weight.requires_grad_(self.config.lora is None)

        def loss() -> Tensor:
            return (states @ weight.T).float().log_softmax(-1)[:, 0].sum()

        return self._pass(loss, trains, again=False)

    def update(self) -> float:
        """Seconds of AdamW's step on all weights that are trained in full; that of an adapter is short."""
        if self.config.lora is not None:
            return 0.0
        trained = sum(weight.numel() for weight in self.model.layers.parameters()) * self.layers
        trained += self.vocabulary * self.width
        weight = torch.zeros(_UPDATED, device=self.device, requires_grad=True)
        weight.grad = torch.ones_like(weight)
        optimizer = torch.optim.AdamW([weight])
        return self._fastest(lambda: optimizer.step()) * trained / _UPDATED

    def _pass(self, loss: Callable[[], Tensor], trains: bool, again: bool = True) -> float:
        """`again`: gradient checkpointing computes it once more."""
        half = torch.autocast(self.device, torch.bfloat16) if self.config.bf16 else nullcontext()

        def once() -> None:
            with half, torch.set_grad_enabled(trains):
                found = loss()
            if trains:
                found.backward()

        seconds = self._fastest(once)
        more = trains and again and self.config.gradient_checkpointing
        return seconds * (1 + 1 / (1 + _BACKWARD)) if more else seconds

    def _fastest(self, once: Callable[[], Any]) -> float:
        times = []
        for _ in range(_ROUNDS):
            start = time.perf_counter()
            once()
            if self.device == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
        return min(times)
