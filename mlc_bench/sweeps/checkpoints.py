"""The checkpoints of a training run by `train-baseline` or TRL, in the order of their steps, and the final model."""

import json
import re
from pathlib import Path

from mlc_bench.core.errors import UsageError

_ADAPTER = "adapter_config.json"


def models(run: Path, base: str | None = None) -> list[tuple[str, str | None]]:
    """(model, adapter) of each checkpoint; of a whole model the adapter is None.

    `base`: the model below adapters; None: the one that each names. Raises UsageError where there is no checkpoint.
    """
    if not run.is_dir():
        raise UsageError(f"--checkpoints: there is no folder '{run}'")
    steps = {
        int(match[1]): path
        for folder in (run, run / "checkpoints")
        if folder.is_dir()
        for path in folder.iterdir()
        if (match := re.fullmatch(r"checkpoint-(\d+)", path.name)) and _is_there(path)
    }
    found = [path for _, path in sorted(steps.items())] + ([run] if _is_there(run) else [])
    if not found:
        raise UsageError(f"--checkpoints: '{run}' has neither checkpoint-N folders nor a model with safetensors")
    return [_model(path, base) for path in found]


def _is_there(folder: Path) -> bool:
    """Whether a folder holds an adapter or a model; one that is being written has no weights yet."""
    return any(folder.glob("*.safetensors")) and any((folder / name).is_file() for name in (_ADAPTER, "config.json"))


def _model(folder: Path, base: str | None) -> tuple[str, str | None]:
    if not (folder / _ADAPTER).is_file():
        return str(folder), None
    try:
        recorded = json.loads((folder / _ADAPTER).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{folder / _ADAPTER} is not readable as JSON ({error})") from None
    if not (base or recorded):
        raise UsageError(f"{folder / _ADAPTER} names no base model; give it as the one model of the sweep's file")
    return base or str(recorded), str(folder)
