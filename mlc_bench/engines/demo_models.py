"""The demo models, whose weights come as data of packages, no hub needed: three chat models and a base model."""

import fcntl
import functools
import importlib.util
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import cache_dir
from mlc_bench.core.errors import PrerequisiteError, is_full
from mlc_bench.core.progress import bar, say
from mlc_bench.engines.packaged_file import PackagedFile

SOURCE = "converted_from.json"  # in the converted folder: the name, and the file that it was made from


@dataclass(frozen=True)
class Demo:
    """A model, its weights (a GGUF file in packages), and what its conversion leaves undone.

    `folder` is its name in the cache. `name` says what was measured; the two models of the published records keep the
    names that they have there.
    """

    name: str
    folder: str
    gguf: PackagedFile
    quantization: str
    complete: Callable[[Any, Any], None] | None = None
    """Sets on model and tokenizer what a GGUF file does not say."""

    @property
    def install(self) -> str:
        return f"pip install gguf && {self.gguf.install}"

    @property
    def target(self) -> Path:
        """The converted checkpoint."""
        return cache_dir() / "models" / self.folder

    @property
    def is_converted(self) -> bool:
        """Whether the checkpoint in the cache was made from this file; one of an older version says of none."""
        return source(self.target).get("sha256") == self.gguf.sha256


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


MODELS = {
    "demo": Demo(
        name="Qwen2.5-Coder-0.5B-Instruct (q4_k_m, dequantised)",
        folder="Qwen2.5-Coder-0.5B-Instruct",
        gguf=PackagedFile(
            packages="demo.txt",
            parts="part*.bin",
            size=491_400_064,
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ),
        quantization="q4_k_m",
    ),
    "demo-1.5b": Demo(
        name="Qwen2.5-Coder-1.5B-Instruct (q4_k_m, dequantised)",
        folder="Qwen2.5-Coder-1.5B-Instruct",
        gguf=PackagedFile(
            packages="demo-1.5b.txt",
            parts="part*.bin",
            size=1_117_320_768,
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        ),
        quantization="q4_k_m",
    ),
    "demo-tiny": Demo(
        name="SmolLM2-135M-Instruct",
        folder="SmolLM2-135M-Instruct",
        gguf=PackagedFile(
            packages="demo-tiny.txt",
            parts="*.gguf",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        quantization="q4_1",
    ),
    "demo-gemma": Demo(
        name="gemma-3-270m",
        folder="gemma-3-270m",
        gguf=PackagedFile(
            packages="demo-gemma.txt",
            parts="*.gguf.part*",
            size=253_113_024,
            sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        quantization="q4_k_m",
        complete=_complete_gemma,
    ),
}


def is_installed(which: str) -> bool:
    """Whether the weights are on this machine, converted or not."""
    demo = MODELS[which]
    return demo.is_converted or (importlib.util.find_spec("gguf") is not None and demo.gguf.is_installed())


def source(folder: Path) -> dict[str, str]:
    """What a converted checkpoint was made from: `name`, `sha256` of the GGUF file, `quantization`; else empty."""
    try:
        found = json.loads((folder / SOURCE).read_text(encoding="utf-8"))
        return {key: str(found[key]) for key in ("name", "sha256", "quantization")}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def folder(which: str) -> Path:
    """A demo model as an ordinary checkpoint (bfloat16), converted on first use (half a minute) and then cached.

    Raises PrerequisiteError where the packages with the weights are absent, cut or of another content, and where the
    disk is full; the cache then holds what it held before.
    """
    demo = MODELS[which]
    if demo.is_converted:
        return demo.target
    if not is_installed(which):
        raise PrerequisiteError(f"the model '{which}' is not installed; run: {demo.install}")
    demo.target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(demo.target.with_name(f".{demo.folder}.lock")):
        if not demo.is_converted:  # another process was quicker
            _convert_in(demo.target.with_name(f".{demo.folder}.part"), demo)
    return demo.target


def _convert_in(work: Path, demo: Demo) -> None:
    """Convert in a folder of its own, which is moved to its place when all is written."""
    shutil.rmtree(work, ignore_errors=True)  # of a conversion that was killed
    work.mkdir()
    try:
        with bar(f"{demo.folder}: MiB") as report:
            demo.gguf.join(work / "weights.gguf", report)
        say(f"{demo.folder}: converting, once; up to a minute")
        _convert(work / "weights.gguf", work / "checkpoint", demo)
        shutil.rmtree(demo.target, ignore_errors=True)  # of another file, or of an older version
        (work / "checkpoint").rename(demo.target)
    except Exception as error:
        if is_full(error):
            raise PrerequisiteError(
                f"the disk of {work.parent} is full; free three times the {demo.gguf.size / 1e9:.1f} GB of "
                f"{demo.folder} there, or set MLC_BENCH_CACHE to a folder on another disk, and run the command again"
            ) from None
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _convert(gguf: Path, target: Path, demo: Demo) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with _read_once():
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if demo.complete:
        demo.complete(model, tokenizer)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    made_from = {"name": demo.name, "sha256": demo.gguf.sha256, "quantization": demo.quantization}
    (target / SOURCE).write_text(json.dumps(made_from, indent=1), encoding="utf-8")


@contextmanager
def _read_once() -> Iterator[None]:
    """transformers reads a file anew for the configuration, the weights and the tokenizer: half a minute each time."""
    import gguf

    reader = gguf.GGUFReader
    gguf.GGUFReader = functools.cache(reader)
    try:
        yield
    finally:
        gguf.GGUFReader = reader


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
