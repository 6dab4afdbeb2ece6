"""What a run is: everything that the user chose and that changes its output."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Engine = Literal["hf", "vllm", "openai"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
# Settings that the first runs did not have, and their defaults.
_LATER: dict[str, Any] = {"template_date": None, "sampling": "neutral", "thinking": "model", "thinking_tokens": None}


class RunSpec(BaseModel):
    """One model on some tasks in some languages. Two equal specs on one machine give the same run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(description="hub id, folder, 'demo' (a demo model), or the server's name for its model")
    revision: str | None = Field(None, description="hub revision (branch, tag or commit)")
    adapter: str | None = Field(None, description="peft adapter, local folder or hub id")
    engine: Engine = Field(description="hf (transformers), vllm, or openai (a server)")
    base_url: str | None = Field(None, description="address of an OpenAI-compatible server")
    engine_args: dict[str, Any] = Field(default_factory=dict, description="passed to lm-eval's model class")
    tasks: tuple[str, ...] = Field(description="task names, resolved")
    languages: tuple[str, ...] | None = Field(None, description="codes; None: all that a task has")
    judge: str = Field("refusal", description="name of a judge or of several; a path of a judge's file")
    limit: int | None = Field(None, gt=0, description="first n prompts of each task and language")
    system_prompt: str | None = Field(None, description="put before every prompt")
    max_tokens: int | None = Field(None, gt=0, description="overrides the tasks' limit on an answer's tokens")
    seed: int = Field(1234, description="of the engine, and of the bootstrap")
    template_date: str | None = Field(
        None, description="date (YYYY-MM-DD) that a chat template with a date prints; None: the constant one"
    )
    sampling: Literal["neutral", "model"] = Field(
        "neutral", description="whether the checkpoint's generation_config.json counts: neutral (no) or model (yes)"
    )
    thinking: Literal["model", "on", "off"] = Field(
        "model", description="the chat template's switch for thinking: on, off, or as the template has it (model)"
    )
    thinking_tokens: int | None = Field(
        None, gt=0, description="most tokens of thinking, beside max_tokens for the answer; None: one limit for both"
    )

    def digestible(self, exclude: set[str]) -> dict[str, Any]:
        """The fields for a digest. Of those that came later only what is no default, so that older runs keep theirs."""
        fields = self.model_dump(exclude=exclude)
        return {key: value for key, value in fields.items() if key not in _LATER or value != _LATER[key]}


def digest(*parts: Any) -> str:
    """sha256 over JSON of the parts; dictionaries hash alike whatever their order."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def short_name(text: str) -> str:
    """A text as part of a file name, cut to 120 characters; two texts may give one name."""
    return re.sub(r"[^A-Za-z0-9._@+-]+", "__", _joined(text))[:120].strip("._")


def slug(judge_id: str) -> str:
    """A judge's id as a folder name: `majority(rules,a)` becomes `majority+rules+a`, `llm@a/b` `llm@a__b`.

    An id that another one could share the name with (long ones are cut, other signs replaced) has its digest behind it.
    """
    name = short_name(judge_id)
    if not judge_id:
        return ""
    is_exact = name == _joined(judge_id).replace("/", "__") and not re.search(r"[+]|__|_/|/_", judge_id)
    return name if is_exact else f"{name[:100]}-{digest(judge_id)[:8]}"


def _joined(text: str) -> str:
    return text.replace("(", "+").replace(",", "+").replace(")", "")


_OPTIONS = {
    "pretrained": "--model", "model": "--model", "revision": "--revision", "peft": "--adapter",
    "lora_local_path": "--adapter", "base_url": "--base-url", "seed": "--seed", "generation_config": "--sampling",
    "override_generation_config": "--sampling", "enable_thinking": "--thinking", "think_end_token": "--thinking",
}  # fmt: skip


def check_engine_args(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as a dictionary.

    Raises UsageError for one that has an option of its own, since the record would not show it, and as
    `refuse_copies`.
    """
    from mlc_bench.core.errors import UsageError

    for key in arguments:
        if key in _OPTIONS:
            raise UsageError(f"--engine-args {key}: use {_OPTIONS[key]}")
    refuse_copies(arguments)
    return dict(arguments)


def refuse_copies(arguments: Mapping[str, Any]) -> None:
    """Raises UsageError for several copies of a model in one run.

    lm-eval starts them anew for each call: all answers would be one call, which a crash loses as a whole.
    """
    from mlc_bench.core.errors import UsageError

    if str(arguments.get("data_parallel_size", 1)) != "1":
        raise UsageError(
            "--engine-args data_parallel_size: a crash would lose all answers; use one job for each GPU (mlc-bench "
            "sweep), or a vLLM server for each GPU behind --engine openai"
        )


def parse_pairs(pairs: list[str], option: str) -> dict[str, Any]:
    """`key=value` texts; values that read as JSON (numbers, true, null) become what they say.

    Raises UsageError for a text that is not of this form.
    """
    from mlc_bench.core.errors import UsageError

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
