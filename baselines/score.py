"""Scores while training: `mlc-bench run` on the development pairs, a process of its own, at every n-th step.

Training waits meanwhile: on one machine the two would only slow each other, and a tracker wants its points in order.
"""

import contextlib
import ctypes
import functools
import importlib.util
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from transformers import TrainerCallback

from mlc_bench.baselines.callbacks import Watch
from mlc_bench.baselines.config import TrainConfig
from mlc_bench.catalog import listing
from mlc_bench.core.errors import PrerequisiteError, UsageError, UserError
from mlc_bench.core.progress import say
from mlc_bench.records import record
from mlc_bench.records.record import RunRecord, SelectivityOfLanguage

if TYPE_CHECKING:
    from mlc_bench.baselines.run import TrainRun

TASKS = ("dev_harmful", "dev_harmless")
FOLDER = "scores"  # in the folder of a training run; `mlc-bench run` keeps its results there
PAGE = "page"  # beside it: where the command that is told at the end draws them
LOG = "scores.log"  # beside it: what these commands said
_COMMAND = Path(sys.executable).with_name("mlc-bench")
# What launchers tell a process of its place among others: the score is no part of the training.
_OF_LAUNCHERS = ("ACCELERATE_", "TORCHELASTIC_", "FSDP_")
_OF_RANKS = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"}
_PARENT_DIES = 1  # PR_SET_PDEATHSIG of prctl(2)
_CLOSING = 10.0  # seconds that a command has to end when training is interrupted


class Score(TrainerCallback):
    """Scores a checkpoint when it is complete and due; one that fails is a line, and training goes on."""

    def __init__(self, run: "TrainRun", trainer: Any, watch: Watch) -> None:
        self.run, self.trainer, self.watch = run, trainer, watch
        self.config: TrainConfig = run.config

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Where a run was killed while it scored: the point that it owes."""
        if state.global_step and self._is_due(state) and not self._is_scored(state.global_step):
            self._score(state.global_step, Path(args.output_dir))

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._is_due(state):
            self._score(state.global_step, Path(args.output_dir))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if finished(self.config.output):
            scores, page = self.config.output / FOLDER, self.config.output / PAGE
            line = shlex.join(["mlc-bench", "leaderboard", "build", str(scores), "--out", str(page)])
            say(f"to see the scores by step: {line}; then open {page / 'index.html'}")

    def _is_due(self, state: Any) -> bool:
        """At every n-th step, and at the last one."""
        assert self.config.score_every is not None
        return state.global_step % self.config.score_every == 0 or state.global_step >= state.max_steps

    def _is_scored(self, step: int) -> bool:
        return any(one == (self.run.id, step) for one in map(_place, finished(self.config.output)))

    def _score(self, step: int, checkpoints: Path) -> None:
        begun = time.monotonic()
        say(f"step {step}: its checkpoint is scored; {self.config.output / LOG} says how far that is")
        try:
            found = _carry_out(command(self.config, checkpoints / f"checkpoint-{step}"), self.config.output)
        except (UserError, OSError) as error:
            say(f"step {step} is not scored: {error}; training goes on")
        else:
            self.trainer.log(points(found))
            say(f"step {step}: {_words(found)}")
        self.watch.pause(time.monotonic() - begun)


def command(config: TrainConfig, checkpoint: Path) -> list[str]:
    """What scores a checkpoint: as it may be typed."""
    model = ["--model", str(checkpoint)]
    if config.lora is not None:
        revision = ["--revision", config.revision] if config.revision else []
        model = ["--model", config.model, *revision, "--adapter", str(checkpoint)]
    # Not vLLM: it takes the GPU's memory for itself, and training holds most of that.
    line = [str(_COMMAND), "run", *model, "--engine", "hf", "--tasks", ",".join(TASKS)]
    languages = ["--languages", ",".join(config.score_languages)] if config.score_languages else []
    limit = ["--max-tokens", str(config.score_max_tokens)] if config.score_max_tokens else []
    return [*line, *languages, *limit, "--output", str(config.output / FOLDER), "--json"]


def _carry_out(line: list[str], output: Path) -> RunRecord:
    """The record that a command prints. Raises UserError where it fails; ends it where this process is interrupted."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # what training does not use at the moment is free for the score
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_RANKS and not name.startswith(_OF_LAUNCHERS)
    }
    log = output / LOG
    with log.open("ab") as file:
        start = file.tell()
        with subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=file, env=kept, preexec_fn=_ending_with_us()
        ) as process:
            try:
                printed, _ = process.communicate()
            except BaseException:
                _end(process)
                raise
    try:
        (made,) = json.loads(printed)
        found = RunRecord.model_validate(made)
    except (ValueError, ValidationError):
        raise UserError(_reason(log, start, process.returncode)) from None
    if found.status != "complete":
        failed = [f"{task.name}: {task.error}" for task in found.tasks if task.error]
        raise UserError("; ".join(failed) or _reason(log, start, process.returncode))
    return found


def _ending_with_us() -> Callable[[], Any] | None:
    """What a child calls first, so that it gets SIGTERM where this process is killed for good; Linux only.

    It would go on otherwise, and write into the folder in which the same command scores again.
    """
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError, TypeError):
        return None
    return functools.partial(prctl, _PARENT_DIES, int(signal.SIGTERM), 0, 0, 0)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_CLOSING)
    process.kill()


def _reason(log: Path, start: int, code: int) -> str:
    """The last line that a command said, and where the others are."""
    lines = log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), f"mlc-bench run ended with code {code}")
    return f"{last.removeprefix('error: ')} (see {log})"


def finished(output: Path) -> list[RunRecord]:
    """The complete records of a training run's scores."""
    found = []
    for path in sorted((output / FOLDER).glob("*/*/run.json")):
        with contextlib.suppress(UserError):
            found.append(record.read(path))
    return [one for one in found if one.status == "complete"]


def _place(found: RunRecord) -> tuple[Any, Any]:
    """Which run and step a record says that it is of."""
    training = found.model.training or {}
    return training.get("run"), training.get("step")


def points(found: RunRecord) -> dict[str, float]:
    """What a tracker gets of a record: refusal, over-refusal and selectivity by language and on average, as fractions.

    Of a language without verdicts there is no point.
    """
    logged = {}
    for one in found.selectivity:
        for code, row in {**one.languages, **({"mean": one.mean} if one.mean else {})}.items():
            for name, value in _numbers(row):
                if value is not None:
                    logged[f"score/{name}_{code}"] = value
    return logged


def _numbers(row: SelectivityOfLanguage) -> Iterable[tuple[str, float | None]]:
    yield "refusal", row.harmful.value
    yield "over_refusal", row.harmless.value
    yield "selectivity", row.difference.value


def _words(found: RunRecord) -> str:
    means = [(one.mean, len(one.mean_of)) for one in found.selectivity if one.mean]
    if not means:
        return "scored; it answers in no language"
    (mean, languages), *_ = means
    shown = [f"{name.replace('_', '-')} {100 * value:.0f} %" for name, value in _numbers(mean) if value is not None]
    return f"{', '.join(shown)} (mean over {languages} {'language' if languages == 1 else 'languages'})"


def require_languages(config: TrainConfig) -> None:
    """Raises UsageError for a language that the development pairs do not have."""
    covered = [set(listing.languages(entry) or ()) for entry in listing.select(list(TASKS))]
    for code in listing.check_languages(config.score_languages):
        if not all(code in codes for codes in covered):
            raise UsageError(f"score_languages {code}: {' and '.join(TASKS)} have {' '.join(sorted(covered[0]))}")


def require_trackers(config: TrainConfig) -> None:
    """Raises PrerequisiteError for a tracker whose package is not installed."""
    for name in config.report_to:
        if name != "none" and importlib.util.find_spec(name) is None:
            raise PrerequisiteError(f"report_to {name}: the package is not installed; run: pip install {name}")
