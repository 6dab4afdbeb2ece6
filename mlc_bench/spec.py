"""What a run is: everything that the user chose and that changes its output."""

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Engine = Literal["hf", "vllm", "openai"]


class RunSpec(BaseModel):
    """One model on some tasks in some languages. Two equal specs on one machine give the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(description="hub id, local folder, 'demo', or the server's name for its model")
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    adapter: str | None = Field(None, description="peft adapter, local folder or hub id")
    engine: Engine
    base_url: str | None = Field(None, description="address of an OpenAI-compatible server")
    engine_args: dict[str, Any] = Field(default_factory=dict, description="passed to lm-eval's model class")
    tasks: tuple[str, ...] = Field(description="task names, resolved")
    languages: tuple[str, ...] | None = Field(None, description="codes; None: all that a task has")
    judge: str = "rules"
    limit: int | None = Field(None, gt=0, description="first n prompts of each task and language")
    system_prompt: str | None = None
    max_tokens: int | None = Field(None, gt=0, description="overrides the tasks' limit on an answer's tokens")
    seed: int = 1234


def digest(*parts: Any) -> str:
    """sha256 over JSON of the parts; dictionaries hash alike whatever their order."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


_OPTIONS = {
    "pretrained": "--model", "model": "--model", "revision": "--revision", "peft": "--adapter",
    "lora_local_path": "--adapter", "base_url": "--base-url", "seed": "--seed",
}  # fmt: skip


def parse_engine_args(pairs: list[str]) -> dict[str, Any]:
    """`key=value` options of --engine-args.

    Raises UsageError for an option without `=`, and for what has an option of its own (the record would not show it).
    """
    from mlc_bench.errors import UsageError

    parsed = parse_pairs(pairs, "--engine-args")
    for key in parsed:
        if key in _OPTIONS:
            raise UsageError(f"--engine-args {key}: use {_OPTIONS[key]}")
    return parsed


def parse_pairs(pairs: list[str], option: str) -> dict[str, Any]:
    """`key=value` texts; values that read as JSON (numbers, true, null) become what they say."""
    from mlc_bench.errors import UsageError

    parsed: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"{option} '{pair}' is not of the form key=value")
        try:
            parsed[key] = json.loads(value)
        except json.JSONDecodeError:
            parsed[key] = value
    return parsed
