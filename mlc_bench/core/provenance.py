"""Where a result was made: the machine, and the commit of this package."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any


def hardware() -> dict[str, Any]:
    """What the run was made on: processor, cores, memory in GiB, GPUs."""
    import torch

    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "python": platform.python_version(),
    }


def emulates_bf16() -> bool:
    """Whether bf16 is emulated here, and slower than float32: an x86 CPU without AVX-512, and no GPU."""
    import torch

    if torch.cuda.is_available():
        return False
    cpu = torch.cpu.get_capabilities()
    return cpu.get("architecture") == "x86_64" and not (cpu["avx512_bw"] or cpu["avx_ne_convert"])


def git() -> dict[str, Any]:
    """Commit and dirty flag of the checkout that this package runs from; empty where it is not one."""
    here = Path(__file__).resolve().parents[2]
    if not (here / ".git").exists():
        return {}
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changes = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())}
