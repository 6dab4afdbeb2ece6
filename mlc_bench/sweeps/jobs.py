"""A job is one `mlc-bench run`; a shard is the jobs that one start of an engine answers."""

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from mlc_bench.core.spec import digest
from mlc_bench.request import Request, several

_JUDGED = ("judge", "combine", "judge_args", "allow_self_judge")  # what answers do not depend on
_DEFAULTS = {
    field.name: field.default_factory() if field.default_factory is not MISSING else field.default
    for field in fields(Request)
}


@dataclass(frozen=True)
class Job:
    """One model or adapter, with the keywords of its `Request`; they are JSON."""

    number: int
    """From 1 on."""
    name: str
    keywords: Mapping[str, Any]

    @property
    def request(self) -> Request:
        """What `mlc-bench run` would be asked."""
        return Request(**self.keywords)

    @property
    def engine_key(self) -> str:
        """Jobs with equal keys may share one start of an engine."""
        return digest({key: value for key, value in self.keywords.items() if key not in ("adapter", *_JUDGED)})

    @property
    def judge_key(self) -> str:
        """Jobs with equal keys are judged together."""
        return digest({key: self.keywords.get(key) for key in (*_JUDGED, "include", "allow_code", "data_dir")})

    @property
    def command(self) -> str:
        """The job as a command line."""
        words = ["mlc-bench", "run"]
        for key, value in self.keywords.items():
            if key != "model" and value == _DEFAULTS[key]:
                continue
            option = f"--{key.replace('_', '-')}"
            if value is True:
                words.append(option)
            elif isinstance(value, Mapping):
                for name, one in value.items():
                    words += [option, f"{name}={one if isinstance(one, str) else json.dumps(one)}"]
            elif key == "include":
                words += [word for one in several(value) for word in (option, str(one))]
            else:
                words += [option, ",".join(map(str, several(value))) if isinstance(value, list) else str(value)]
        return shlex.join(words)


def numbered(asked: Sequence[Mapping[str, Any]]) -> list[Job]:
    """Jobs of the keywords of requests, equal ones once; a name that two would have is written out."""
    unlike = list({digest(keywords): keywords for keywords in asked}.values())
    short = [_name(keywords, lambda path: Path(path).name or path) for keywords in unlike]
    full = [_name(keywords, str) for keywords in unlike]
    names = [name if short.count(name) == 1 else long for name, long in zip(short, full, strict=True)]
    names = [name if names.count(name) == 1 else f"{name} #{place}" for place, name in enumerate(names, 1)]
    return [Job(number, name, keywords) for number, (name, keywords) in enumerate(zip(names, unlike, strict=True), 1)]


def _name(keywords: Mapping[str, Any], shown: Any) -> str:
    adapter = keywords.get("adapter")
    return shown(str(keywords["model"]).rstrip("/")) + (f"+{shown(str(adapter).rstrip('/'))}" if adapter else "")


def shards(jobs: Sequence[Job], at_once: int = 1) -> list[list[Job]]:
    """Jobs that share an engine together, the base model first; split where more engines than that can run at once."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.engine_key, []).append(job)
    sizes = {key: len(own) for key, own in groups.items()}
    parts = dict.fromkeys(groups, 1)
    while sum(parts.values()) < min(at_once, len(jobs)):
        largest = max(parts, key=lambda key: sizes[key] / parts[key])
        parts[largest] += 1
    found = []
    for key, own in groups.items():
        own = sorted(own, key=lambda job: job.keywords.get("adapter") is not None)  # attached adapters do not go again
        bounds = [round(part * len(own) / parts[key]) for part in range(parts[key] + 1)]
        found += [own[start:end] for start, end in itertools.pairwise(bounds)]
    return found


def gpus(job: Job) -> int:
    """How many GPUs the engine of a job takes where it has any: a server none of this machine."""
    arguments = job.keywords.get("engine_args") or {}
    if job.keywords.get("engine") == "openai":
        return 0
    return int(arguments.get("tensor_parallel_size", 1)) * int(arguments.get("pipeline_parallel_size", 1))
