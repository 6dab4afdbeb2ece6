"""What a training run shows: a live line on stderr, a plot at the end."""

import sys
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from mlc_bench.core import processor
from mlc_bench.core.progress import say

_LINE_EVERY = 30.0  # seconds, where stderr is not a terminal
_LINES = 10  # at least so many over the whole run, there
_SHOWN = {
    "loss": "loss", "reward": "reward", "rewards/margins": "margin", "mlc/sigma1_share": "s1 share", "mlc/loss": "mlc",
}  # fmt: skip


class ReleaseMemory(TrainerCallback):
    """Bounds the memory of training on a CPU: rows of other lengths in each step fragment the heap."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        processor.release_memory()


class Watch(TrainerCallback):
    """Progress with the time left and the latest figures; adds the seconds trained so far to each entry of the log."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.figures: dict[str, float] = {}
        self.progress: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.begin = self.said = time.monotonic()
        self.first = self.said_step = state.global_step
        self.passes = 0
        self.before = next((entry["seconds"] for entry in reversed(state.log_history) if "seconds" in entry), 0.0)
        if state.is_world_process_zero and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self.progress = Progress(
                TextColumn(self.label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"), console=Console(stderr=True),
            )  # fmt: skip
            self.progress.start()
            self.task = self.progress.add_task("", total=state.max_steps, completed=self.first, figures="")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        if not logs or "loss" not in logs:
            return
        seconds = time.monotonic() - self.begin
        state.log_history[-1]["seconds"] = round(self.before + seconds, 1)
        self.figures |= {name: logs[key] for key, name in _SHOWN.items() if key in logs}
        if not state.is_world_process_zero:
            return
        figures = "  ".join(f"{name} {value:.4f}" for name, value in self.figures.items())
        if self.progress is not None:
            self.progress.update(self.task, completed=state.global_step, figures=figures)
        elif self._is_due(state):
            self.said, self.said_step = time.monotonic(), state.global_step
            speed = seconds / max(1, state.global_step - self.first)
            left = speed * (state.max_steps - state.global_step)
            say(
                f"{self.label}: {state.global_step}/{state.max_steps}  {figures}  {speed:.1f} s/step, {left:.0f} s left"
            )

    def pause(self, seconds: float) -> None:
        """Leave so many seconds, which something else took, out of the time trained."""
        self.begin += seconds

    def _is_due(self, state: Any) -> bool:
        """Whether it is time for a line: the first step and the last, every tenth of the steps, every 30 seconds."""
        tenth = (state.global_step - self.said_step) * _LINES >= state.max_steps
        ends = state.global_step in (self.first + 1, state.max_steps)
        return ends or tenth or time.monotonic() - self.said >= _LINE_EVERY

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.passes = 0

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A line within a step that takes long; its loss is known at its end only."""
        self.passes += 1
        if state.is_world_process_zero and self.progress is None and time.monotonic() - self.said >= _LINE_EVERY:
            self.said = time.monotonic()
            step, passes = state.global_step + 1, args.gradient_accumulation_steps
            say(f"{self.label}: step {step}/{state.max_steps}, {self.passes} of {passes} passes")

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.progress is not None:
            self.progress.stop()


def plot(log: list[dict[str, Any]], path: Path) -> None:
    """Loss, share of sigma_1, reward margin and reward over the steps; what a method does not have is left out."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = {
        "loss": [("loss", "loss"), ("mlc/loss", "auxiliary loss")],
        "share of sigma_1": [("mlc/sigma1_share", "share")],
        "reward margin": [("rewards/margins", "chosen - rejected")],
        "reward": [("reward", "mean of a step's answers")],
    }
    shown = {
        title: [line for line in lines if any(line[0] in entry for entry in log)] for title, lines in panels.items()
    }
    shown = {title: lines for title, lines in shown.items() if lines}
    if not shown:
        return
    figure, axes = pyplot.subplots(1, len(shown), figsize=(4.5 * len(shown), 3.2), squeeze=False)
    for axis, (title, lines) in zip(axes[0], shown.items(), strict=True):
        for key, label in lines:
            points = [(entry["step"], entry[key]) for entry in log if key in entry]
            axis.plot(*zip(*points, strict=True), label=label, linewidth=1.2)
        axis.set_title(title)
        axis.set_xlabel("optimizer step")
        if len(lines) > 1:
            axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
