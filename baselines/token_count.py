"""How many tokens went through the model while it was trained, padding left out, over all processes.

Counted in the model's own forward pass, so that it holds for any method, however its trainer lays out prompts and
responses. What the reference reads before training is apart (see `TrainRun.reference_tokens`).
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import Trainer
else:
    Trainer = object

KINDS = ("tokens", "mlc_tokens")  # of the method's own loss, and of the prompts of the auxiliary loss


class TokenCount(Trainer):
    """Mixed into a trainer: each entry of its log has the tokens read since training began, also after a resume."""

    _read: Tensor

    def count_tokens(self) -> None:
        """To be called once the trainer is built, and what the reference says has been computed."""
        self._read = self._none_read()
        self.model.register_forward_pre_hook(self._on_forward, with_kwargs=True)

    def add_tokens(self, kind: str, count: Tensor) -> None:
        """Note tokens of one of `KINDS` that this process has read; `count` is a tensor of no dimension."""
        self._read[KINDS.index(kind)] += count

    def _none_read(self) -> Tensor:
        return torch.zeros(len(KINDS), dtype=torch.int64, device=self.args.device)

    def _on_forward(self, module: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        # Passes without gradients are not training; those with `prompt_ends` are noted where their prompts are known.
        if not (module.training and torch.is_grad_enabled()) or "prompt_ends" in given:
            return
        mask = given.get("attention_mask")
        if mask is None:  # packed rows have no padding
            ids = given["input_ids"] if "input_ids" in given else args[0]
            mask = torch.ones_like(ids)
        self.add_tokens("tokens", mask.sum())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs, start_time)
        if "loss" not in logs:
            return
        new = self.accelerator.reduce(self._read, reduction="sum").tolist()
        self._read = self._none_read()
        *earlier, entry = self.state.log_history
        before: dict[str, int] = next((past for past in reversed(earlier) if KINDS[0] in past), {})
        entry |= {kind: before.get(kind, 0) + count for kind, count in zip(KINDS, new, strict=True)}
