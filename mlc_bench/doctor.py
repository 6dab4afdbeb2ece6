"""`mlc-bench doctor`: what this machine can run, and what is in the way."""

import os
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlc_bench.catalog import data, languages, listing
from mlc_bench.core import processor, writable
from mlc_bench.core.errors import UserError
from mlc_bench.core.provenance import emulates_bf16
from mlc_bench.engines import vllm_cpu
from mlc_bench.engines.vllm_cpu import version


@dataclass(frozen=True)
class Finding:
    """One line of the report. `level` is ok, note (something optional is absent) or problem (fix it)."""

    level: str
    subject: str
    text: str


def as_text(found: Sequence[Finding]) -> str:
    """One line for each finding, the texts below each other."""
    width = max((len(finding.subject) for finding in found), default=0) + 2
    return "\n".join(f"{finding.level:8}{finding.subject:{width}}{finding.text}" for finding in found)


def findings(results: Path) -> list[Finding]:
    """Everything that `doctor` looks at."""
    return [
        *_versions(),
        *_engines(),
        _gpu(),
        _processor(),
        _demo(),
        _hub(),
        *_tasks(),
        *_languages(),
        *_judges(),
        *_disk(results),
    ]


def _versions() -> list[Finding]:
    found = [Finding("ok", "python", platform.python_version())]
    for name in ("mlc-bench", "lm-eval", "torch", "transformers", "peft", "datasets", "py3langid"):
        installed = version(name)
        level, text = ("ok", installed) if installed else ("problem", "not installed")
        found.append(Finding(level, name, text))
    return found


def _engines() -> list[Finding]:
    found = [Finding("ok", "engine hf", "transformers " + (version("transformers") or "?"))]
    if installed := version("vllm"):
        found.append(Finding("ok", "engine vllm", f"vllm {installed}"))
    elif installed := version("vllm-cpu"):
        found.append(Finding("ok", "engine vllm", f"vllm-cpu {installed}"))
        if extra := [name for name in ("torchvision", "torchaudio", "torchcodec") if version(name)]:
            found.append(
                Finding(
                    "problem", "engine vllm", f"made for CUDA, breaks transformers: pip uninstall -y {' '.join(extra)}"
                )
            )
    else:
        found.append(
            Finding("note", "engine vllm", "not installed: pip install 'mlc-bench[vllm]' or 'mlc-bench[vllm-cpu]'")
        )
    key = "set" if os.environ.get("OPENAI_API_KEY") else "not set"
    found.append(Finding("ok", "engine openai", f"needs --base-url; OPENAI_API_KEY is {key}"))
    return found


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        slow = "; bf16 is emulated on this CPU, and slow: --engine-args dtype=float32" if emulates_bf16() else ""
        return Finding("note", "gpu", f"none: hf is the default engine{slow}")
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Finding("ok", "gpu", ", ".join(names))


def _processor() -> Finding:
    """The cores, and how the libraries use them. vLLM is asked to show its part."""
    vllm_cpu.install()
    processor.keep_memory()
    shown = ", ".join(f"{name}={value}" for name, value in processor.settings().items())
    return Finding("ok", "processor", f"{len(os.sched_getaffinity(0))} cores; {shown}")


def _demo() -> Finding:
    from mlc_bench.engines import demo_models

    found = [f"{which}: {model.name}" for which, model in demo_models.MODELS.items() if demo_models.is_installed(which)]
    if found:
        return Finding("ok", "demo models", ", ".join(found))
    return Finding("note", "demo models", f"not installed: {demo_models.MODELS['demo'].install}")


def _hub() -> Finding:
    import requests
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        return Finding("note", "hub", "HF_HUB_OFFLINE is set: only models and data already on this machine")
    try:
        requests.head(constants.ENDPOINT, timeout=5)
    except requests.RequestException:
        return Finding("note", "hub", f"{constants.ENDPOINT} cannot be reached: use local folders and --data-dir")
    return Finding(
        "ok", "hub", f"reachable, {'logged in' if get_token() else 'no token: gated models are out of reach'}"
    )


def _tasks() -> list[Finding]:
    found = []
    paths = [*sorted(data.TASKS.glob("*/*.yaml")), *sorted(listing.FAMILIES.glob("*.yaml"))]
    for path in paths:
        try:
            entry = listing.read_family(path) if path.parent == listing.FAMILIES else listing.read_yaml(path)
            covered = listing.languages(entry)
        except UserError as error:
            found.append(Finding("problem", f"task {path.stem}", str(error)))
            continue
        count = "" if covered is None else f"{len(covered)} language{'s' * (len(covered) != 1)}"
        if entry.family:
            found.append(Finding("ok", f"task {entry.name}", f"{count}, lm-eval's own: data from the hub"))
        elif data.is_here(entry.source):
            found.append(Finding("ok", f"task {entry.name}", count))
        else:
            text = "data not here: downloaded on first use, or --data-dir"
            found.append(Finding("note", f"task {entry.name}", f"{count}; {text}" if count else text))
    return found


def _languages() -> list[Finding]:
    try:
        for code in languages.known():
            languages.get(code)
    except UserError as error:
        return [Finding("problem", "languages", str(error))]
    found = [Finding("problem", "languages", line) for line in listing.incomplete()]
    if bare := listing.without_embedded_data():
        found.append(Finding("note", "languages", f"without embedded prompts: {' '.join(bare)}"))
    return [Finding("ok", "languages", " ".join(languages.known())), *found]


def _judges() -> list[Finding]:
    from mlc_bench.judges import judging, spec

    broken = []
    for name in spec.names():
        try:
            judging.check(name)
        except UserError as error:
            broken.append(Finding("problem", f"judge {name}", str(error)))
    return broken or [Finding("ok", "judges", " ".join(spec.names()))]


def _disk(results: Path) -> list[Finding]:
    found = []
    for subject, folder in (("disk for results", results), ("disk for models", data.cache_dir())):
        existing = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if parent.exists())
        free = shutil.disk_usage(existing).free / 2**30
        found.append(Finding("ok" if free > 1 else "problem", subject, f"{free:.1f} GiB free ({folder})"))
        try:
            writable.check_folder(folder, subject)
        except (UserError, OSError) as error:
            found.append(Finding("problem", subject, str(error)))
    return found
