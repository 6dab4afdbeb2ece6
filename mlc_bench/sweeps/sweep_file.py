"""A sweep as a file: `models`, `adapters` and `judges`, or a list `jobs`; other keys are the options of `run`."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlc_bench.core import bounded, safe_yaml, secrets
from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.request import Request, several

_PRODUCT = {"models": "model", "adapters": "adapter", "judges": "judge"}
_OF_ONE_COMMAND = ("fresh", "price", "max_cost")  # a job that is taken up again would begin, or pay, once more
SETTINGS = sorted({field.name for field in fields(Request)} - {*_PRODUCT.values(), *_OF_ONE_COMMAND})
"""The keys besides models, adapters and judges, each an option of `mlc-bench run`."""
_TYPES: dict[str, Any] = {field.name: field.type for field in fields(Request) if field.name in SETTINGS}


class SweepFile(BaseModel):
    """What a sweep is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: list[str] = Field(default_factory=list, description="as --model")
    adapters: list[str | None] = Field(default=[None], description="as --adapter; null: the base model")
    judges: list[str] = Field(default_factory=lambda: ["refusal"], description="as --judge: each makes a record")
    jobs: list[dict[str, Any]] = Field(default_factory=list, description="model, adapter, judge, and settings of each")
    settings: dict[str, Any] = Field(default_factory=dict, description="keywords of Request for every job")


def read(path: Path) -> SweepFile:
    """A sweep's file, checked. Raises UsageError naming the file and the key that is wrong."""
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    try:
        content = safe_yaml.load(bounded.read_text(path))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise safe_yaml.malformed(path, error) from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: keys and values are expected, for example models: [demo]")
    jobs = content.get("jobs")
    if jobs is not None and {"models", "adapters"} & content.keys():
        raise UsageError(f"{path}: jobs are a list of their own; leave out models and adapters, or jobs")
    _check(path, "", content, [*_PRODUCT, "jobs", *SETTINGS])
    if jobs is not None:
        if not (isinstance(jobs, list) and jobs and all(isinstance(job, dict) for job in jobs)):
            raise UsageError(f"{path}: jobs must be a list of entries like - model: demo")
        for number, job in enumerate(jobs, 1):
            _check(path, f"job {number}: ", job, [*_PRODUCT.values(), *(key for key in SETTINGS if key != "output")])
            if "model" not in job:
                raise UsageError(f"{path}: job {number}: the key 'model' is missing")
    product = {key: _names(path, key, content[key]) for key in _PRODUCT if content.get(key) is not None}
    settings = {key: _plain(key, content[key]) for key in SETTINGS if content.get(key) is not None}
    return SweepFile(**product, jobs=jobs or [], settings=settings)


def requests(asked: SweepFile, output: str | None = None) -> list[dict[str, Any]]:
    """The keywords of each job's Request: the product of models and adapters, or the list; `output` as `--output`."""
    common = {"judge": list(asked.judges)} | asked.settings | ({"output": output} if output is not None else {})
    if not asked.jobs:
        return [{"model": model, "adapter": adapter} | common for model in asked.models for adapter in asked.adapters]
    found = []
    for job in asked.jobs:
        own = {key: _plain(key, value) for key, value in job.items() if key in SETTINGS and value is not None}
        judge = {"judge": several(job["judge"])} if job.get("judge") else {}
        found += [
            {"model": str(job["model"]), "adapter": adapter} | common | own | judge
            for adapter in several(job.get("adapter")) or [None]
        ]
    return found


def _check(path: Path, where: str, given: Mapping[Any, Any], known: Iterable[str]) -> None:
    for key, value in given.items():
        if key in _OF_ONE_COMMAND:
            raise UsageError(f"{path}: {where}'{key}' goes with a single run (mlc-bench run --{key.replace('_', '-')})")
        if key not in known:
            raise UsageError(f"{path}: {where}{unknown('key', str(key), known)}")
        if key in ("engine_args", "judge_args") and isinstance(value, dict):
            for name, one in value.items():
                if secrets.is_secret(str(name), one):
                    raise UsageError(
                        f"{path}: {where}{key}.{name} is a key, which does not belong in a file; set OPENAI_API_KEY"
                    )
        if key in _TYPES and value is not None:
            try:
                TypeAdapter(_TYPES[key]).validate_python(_plain(key, value), strict=True)
            except ValidationError as error:
                reason = error.errors()[0]["msg"]
                raise UsageError(f"{path}: {where}'{key}': {reason}, not {str(value)[:60]!r}") from None


def _plain(key: str, value: Any) -> Any:
    """YAML's own words for true and false are values of --thinking."""
    if key == "thinking" and isinstance(value, bool):
        return "on" if value else "off"
    return value


def _names(path: Path, key: str, value: Any) -> list[Any]:
    names = several(value) if isinstance(value, str | list) else None
    if not names or not all(isinstance(name, str) or (name is None and key == "adapters") for name in names):
        raise UsageError(f"{path}: '{key}' must be a name or a list of names, not {str(value)[:60]!r}")
    return names
