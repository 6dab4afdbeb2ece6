"""How many engines run at once, and with which GPUs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError
from mlc_bench.judges import spec
from mlc_bench.sweeps import jobs
from mlc_bench.sweeps.jobs import Job

Gpus = tuple[str, ...]  # as CUDA_VISIBLE_DEVICES names them


def visible() -> Gpus:
    """The GPUs that this process may use. torch is asked only where there is a device file of one."""
    if not (list(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()):
        return ()
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return tuple(named[:count]) if named != [""] else tuple(map(str, range(count)))


def share(asked: list[Job], workers: int | None, gpus: Gpus) -> list[Gpus]:
    """The GPUs of each engine that runs at once: as many as there is room for, `workers` at most.

    Without GPUs, and where a server answers: `workers`, one without it. Raises UsageError where a job needs more GPUs
    than there are.
    """
    need = max(map(jobs.gpus, asked))
    if not gpus or not need:
        return [()] * (workers or 1)
    if need > len(gpus):
        raise UsageError(
            f"a job needs {need} GPUs (tensor_parallel_size times pipeline_parallel_size), and here are {len(gpus)}"
        )
    count = min(len(gpus) // need, workers or len(gpus))
    return [gpus[place * need : (place + 1) * need] for place in range(count)]


def of_judge(name: str, settings: Mapping[str, Any]) -> int:
    """How many GPUs a judge's model takes: none for rules, classifiers and servers."""
    judge = spec.get(name, dict(settings)).spec
    if judge.kind == "ensemble":
        return max(of_judge(member, {}) for member in judge.judges)
    if judge.kind in ("rules", "refusal") or judge.engine == "openai" or judge.base_url:
        return 0
    return int(judge.engine_args.get("tensor_parallel_size", 1))
