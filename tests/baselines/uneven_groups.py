"""Run by two processes (torchrun), or called by a test: a method with the auxiliary loss, groups of one row only.

The first optimizer step covers all rows: whatever process has the row with a group, the others have none. Written are
the gradients of each step and what was logged, which must not depend on how many processes there are.
"""

import sys
from pathlib import Path

import torch
from training import ROWS, build
from transformers import TrainerCallback

from mlc_bench.baselines import run

SETTINGS = {"mlc": {"kinds": "harmful", "every": 2}, "max_steps": 3}


class Steps(TrainerCallback):
    def __init__(self):
        self.gradients = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        self.gradients.append({name.removeprefix("module."): gradient for name, gradient in found.items()})


def train(method, model, folder, accumulation):
    """Gradients of three steps, and the figures that were logged; one row of four has a group."""
    rows = [row | {"kind": "harmful" if row["id"] == "lock" else "benign"} for row in ROWS]
    for row in rows:
        row["prompts"] = {"sw": "Ninafanyaje hivyo?"} | row["prompts"]
        row["responses"] = {"sw": {"chosen": "Hapana.", "rejected": "Ndiyo, sukuma pini."}}
    trainer = build(method, model, folder, f"out-{accumulation}", rows, accumulation=accumulation, **SETTINGS)[1]
    steps = Steps()
    trainer.add_callback(steps)
    trainer.train()
    return steps.gradients, [entry for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    method, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    with run.ending_group():
        found = train(method, model, folder, 2)
        if torch.distributed.get_rank() == 0:
            torch.save(found, folder / "found.pt")
