"""Checkpoints: each is a model or an adapter with a manifest, fit to be scored, and the last two can be resumed from.

Older ones that are kept lose what only training reads: the optimizer's state is several times the weights, and a
pickle.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformers import TrainerCallback

from mlc_bench.baselines import manifest
from mlc_bench.baselines.check.estimate import RESUMABLE
from mlc_bench.baselines.config import TrainConfig
from mlc_bench.core.errors import UsageError
from mlc_bench.engines.identity import TRAIN_MANIFEST
from mlc_bench.records.record import write_text

if TYPE_CHECKING:
    from transformers import Trainer

    from mlc_bench.baselines.run import TrainRun
else:
    Trainer = object

Count = int | Literal["all"]
SHARDING = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")  # as `accelerate launch` says what it was asked for
_PREFIX = "checkpoint-"
_STATE = "trainer_state.json"  # the last file of a checkpoint that is written
_FOR_TRAINING = (_STATE, "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state*.pth", "training_args.bin")


class Described(Trainer):
    """Mixed into a trainer: a checkpoint gets its manifest with its weights, before the file that completes it."""

    run: "TrainRun"

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        folder = Path(output_dir or "")
        if folder.name.startswith(_PREFIX):  # the result's own comes last of all
            _answer_as_the_base_does(folder / "config.json", self.run)
            made = manifest.of(self.run, self) | {"step": self.state.global_step}
            write_text(folder / TRAIN_MANIFEST, json.dumps(made, indent=1, ensure_ascii=False))


def _answer_as_the_base_does(path: Path, run: "TrainRun") -> None:
    """Switch the cache on again in a saved configuration: without it, answering takes many times as long."""
    if path.is_file():  # an adapter has none
        written = json.loads(path.read_text(encoding="utf-8")) | {"use_cache": manifest.uses_cache(run)}
        write_text(path, json.dumps(written, indent=2, sort_keys=True) + "\n")


class Keep(TrainerCallback):
    """Removes older checkpoints than the settings keep, whenever one is complete."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        keep = self.config.keep_checkpoints
        if state.is_world_process_zero:
            _prune(Path(args.output_dir), keep if keep == "all" else max(RESUMABLE, keep), RESUMABLE)


def leave(folder: Path, keep: Count) -> None:
    """What stays of the checkpoints once the result is saved: the last `keep`, as models; nothing of 0."""
    if keep:
        _prune(folder, keep, resumable=0)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def _prune(folder: Path, keep: Count, resumable: int) -> None:
    """Keep the last checkpoints, and what training reads in the last `resumable` of them."""
    whole: list[tuple[int, Path]] = []
    broken: list[tuple[int, Path]] = []
    for path in folder.glob(f"{_PREFIX}*"):
        if (step := path.name.removeprefix(_PREFIX)).isdigit():
            (whole if (path / TRAIN_MANIFEST).is_file() else broken).append((int(step), path))
    whole.sort(reverse=True)
    kept = len(whole) if keep == "all" else keep
    for _, path in [*whole[kept:], *broken]:
        shutil.rmtree(path, ignore_errors=True)
    for _, path in whole[resumable:kept]:
        for pattern in _FOR_TRAINING:
            for file in path.glob(pattern):
                file.unlink(missing_ok=True)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint: the trainer's state is the last file of one that is written."""
    found = []
    for path in folder.glob(f"{_PREFIX}*/{_STATE}"):
        try:
            found.append((json.loads(path.read_text())["global_step"], path.parent))
        except (ValueError, KeyError):
            continue  # the process was killed while it wrote
    return max(found)[1] if found else None


def require_whole(config: TrainConfig, processes: int, is_sharded: bool) -> None:
    """Raises UsageError where checkpoints would be shards, which nothing scores, or several processes would wait."""
    if is_sharded and (config.keep_checkpoints or config.score_every):
        what = "keep_checkpoints" if config.keep_checkpoints else "score_every"
        raise UsageError(f"{what}: a checkpoint of FSDP or DeepSpeed is in shards, which nothing scores")
    if config.score_every and processes > 1:
        raise UsageError(
            "score_every trains with one process; with several, keep the checkpoints (--keep-checkpoints all) and "
            "score them afterwards"
        )
