"""Training stops at the first loss, gradient norm or weight that is no finite number: nothing after it can be right.

What is looked at is the same in every process (figures are means over all of them, weights are looked at in all), so
that all stop at the same step and none waits for another.
"""

import math
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import reduce
from transformers import TrainerCallback

from mlc_bench.baselines.config import TrainConfig
from mlc_bench.core.errors import UserError


class NotFinite(UserError):
    """Training has run into a value that is not finite."""

    exit_code = 1


class StopWhenNotFinite(TrainerCallback):
    """Looks at the weights at the start and before each checkpoint, and at each step's figures. Raises NotFinite."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.first = True
        """No update has been made yet."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.first = state.global_step == 0
        if not weights_are_finite(model):
            where = f"of the checkpoint of step {state.global_step}" if state.global_step else f"of {self.config.model}"
            raise NotFinite(
                f"the weights {where} are not all finite, so nothing can be trained from them; take another "
                + ("--output and start anew" if state.global_step else "model, or fetch this one again")
            )

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: dict[str, float] | None = None,
        model: Any = None,
        **kwargs: Any,
    ) -> None:
        """Called after each step's update, and before its checkpoint is written."""
        figures = {name: value for name, value in (logs or {}).items() if name.endswith(("loss", "grad_norm"))}
        bad = [name for name, value in figures.items() if not math.isfinite(value)]
        if bad:
            # The whole is not finite where a part is not: the part says more.
            name = next((part for part in bad if "/" in part), bad[0])
            raise NotFinite(self._stopped(args, state.global_step, f"{name} is {figures[name]}"))
        self.first = False
        if control.should_save and not weights_are_finite(model):
            raise NotFinite(self._stopped(args, state.global_step, "its update left weights that are not finite"))

    def _stopped(self, args: Any, step: int, what: str) -> str:
        """One line: the step, what is not finite, the likely causes, what is left."""
        found = sorted(
            Path(args.output_dir).glob("checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime
        )
        kept = f"the last good checkpoint is {found[-1].parent}" if found else "there was no checkpoint yet"
        return f"training stopped at step {step}: {what}; likely {self._causes(args, what)}; {kept}"

    def _causes(self, args: Any, what: str) -> str:
        causes = []
        if not self.first:  # before the first update, the rate has changed nothing
            causes.append(f"the learning rate {self.config.learning_rate:g} is too high")
        if args.bf16 or self.config.dtype == "bfloat16":
            causes.append("bfloat16 is too coarse (--bf16 false --dtype float32)")
        if what.startswith("mlc/") and self.config.mlc:
            causes.append(f"mlc.tau {self.config.mlc.tau:g} is too small")
        if not what.startswith("its update"):
            causes.append("a row of this step is bad (an empty response, or one of odd tokens)")
        return ", or ".join(causes)


def weights_are_finite(model: Any) -> bool:
    """Whether all weights are, in all processes: each may hold its own share. All must call this."""
    weights = [weight.to_local() if hasattr(weight, "to_local") else weight for weight in model.parameters()]
    bad = sum(~torch.isfinite(weight.detach()).all() for weight in weights if weight.numel())
    device = weights[0].device if weights else torch.device("cpu")
    return not reduce(torch.as_tensor(bad, device=device).float(), reduction="sum").item()


def require_finite(model: Any) -> None:
    """Raises NotFinite, in all processes, where a trained model has weights that are not finite."""
    if not weights_are_finite(model):
        raise NotFinite(
            "the last update left weights that are not finite, so they are not saved; likely a learning rate too high"
        )
