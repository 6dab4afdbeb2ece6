"""The run record, `run.json`: what was run, on what, and every metric with its n and interval.

Records hold no prompts, no answers and no secrets. `record.schema.json` is this model's JSON schema;
tests/test_record.py keeps the two equal.
"""

import json
import os
import re
import threading
from pathlib import Path
from typing import Any, Literal, NoReturn, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlc_bench.errors import StaleError
from mlc_bench.spec import RunSpec

SCHEMA_VERSION = 2
MOST = 10**9  # no count in a record is larger
_SECRET = re.compile(r"token|secret|passw|api_?key|header|authorization", re.IGNORECASE)
_NOT_SECRET = {
    "add_bos_token",
    "prefix_token_id",
    "think_end_token",
    "max_gen_toks",
    "max_num_batched_tokens",
    "tokenizer",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Value(_Model):
    """A number with its 95 % interval. None: undefined (nothing to divide by, or fewer than two languages)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = Field(
        ge=0, le=MOST, description="prompts (of one language) or prompts with a verdict in two languages or more"
    )


class AdapterInfo(_Model):
    name: str
    digest: str


class ModelInfo(_Model):
    name: str
    requested_revision: str | None
    resolved_revision: str | None
    weights_digest: str | None = Field(description="None for a server: its weights cannot be verified")
    config_digest: str | None
    tokenizer_digest: str | None
    adapter: AdapterInfo | None
    training: dict[str, Any] | None = Field(
        default=None, description="the train_manifest.json beside the adapter or the model: method, base model, data"
    )
    fingerprint: str = Field(description="sha256 of all that decides the answers, the engine included")
    dtype: str | None
    quantization: str | None
    engine: str
    engine_version: str | None
    engine_args: dict[str, Any] = Field(description="as given, secrets removed")


class Prompting(_Model):
    chat_template: str | None = Field(description="None: the server applies its own")
    chat_template_sha256: str | None
    system_prompt: str | None
    first_token_ids: list[int] | None = Field(description="of one prompt; shows a doubled BOS")


class LanguageResult(_Model):
    n: int = Field(ge=0, le=MOST)
    n_unscored: int = Field(ge=0, le=MOST, description="answers without a verdict (the judge failed); in no rate")
    truncated: int | None = Field(description="answers that stopped at the token limit")
    tokens_in: int | None
    tokens_out: int | None
    data_fingerprint: str
    prompt_fingerprint: str
    comparability_key: str = Field(description="rows share a column only where these are equal")
    metrics: dict[str, Value]
    outcomes: str | None = Field(
        default=None,
        pattern="^[01i-]*$",
        description="one character a prompt, in the order of the data: '1' the headline holds (safe, refused, right), "
        "'0' it does not, 'i' the answer is invalid, '-' it has no verdict; None in records of schema 1",
    )

    @model_validator(mode="after")
    def _one_outcome_a_prompt(self) -> Self:
        if self.outcomes is not None and len(self.outcomes) != self.n:
            raise ValueError(f"{len(self.outcomes)} outcomes of {self.n} prompts")
        return self


class TaskResult(_Model):
    name: str
    pack: str
    version: int = Field(ge=0, le=MOST)
    measures: Literal["safety", "over_refusal", "utility"]
    status: Literal["complete", "failed"]
    error: str | None = None
    over_refusal_task: str | None = None
    licence: str | None = Field(default=None, description="of the data, and what it forbids")
    caution: str | None = Field(default=None, description="what a reader of its numbers must know")
    unreviewed: list[str] = Field(
        default_factory=list, description="languages with drafts of a model among their rows that no speaker has read"
    )
    parallel: bool = Field(default=True, description="row k is the same prompt in every language")
    headline: str | None = Field(default=None, description="the metric that tables show")
    generation: dict[str, Any] = Field(default_factory=dict, description="effective settings")
    policy: dict[str, Any] = Field(
        default_factory=dict, description="what else must be equal to compare: prompting, limit, judge"
    )
    languages: dict[str, LanguageResult] = Field(default_factory=dict)
    summary: dict[str, Value] = Field(default_factory=dict, description="over languages")
    worst_language: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        lengths = {len(result.outcomes) for result in self.languages.values() if result.outcomes is not None}
        if self.parallel and len(lengths) > 1:
            raise ValueError(
                f"{self.name}: the same prompts in every language, yet outcomes of {sorted(lengths)} prompts"
            )
        for code, result in self.languages.items():
            if self.headline not in result.metrics:
                raise ValueError(f"{self.name}: no {self.headline} in {code}")
        return self


class Agreement(_Model):
    """How far the judges of an ensemble agree in one task and language: on safe, unsafe, invalid; on refused or not."""

    n: int = Field(description="answers with a verdict of two judges or more")
    fleiss_kappa: float | None = Field(description="over all judges; None where it is undefined (all verdicts equal)")
    cohen_kappa: dict[str, float | None] = Field(description="of each pair, 'A, B'")


class JudgeInfo(_Model):
    id: str
    version: str
    digest: str = Field(description="sha256 of all that decides verdicts: rubric, parser, mapping, model, rules used")
    parse_failures: int = Field(description="answers of the judge model that hold no verdict in its format")
    calibration: str | None = Field(default=None, description="where its agreement with human labels is measured")
    kind: Literal["rules", "guard", "llm", "ensemble"] = "rules"
    rubric_digest: str | None = Field(default=None, description="sha256 of what in the judge's file decides verdicts")
    parser_version: str | None = None
    model: str | None = Field(default=None, description="hub id, folder, or the server's name for it")
    model_revision: str | None = Field(default=None, description="the hub's commit")
    model_digest: str | None = Field(
        default=None, description="of weights, tokenizer and template; of a server: address"
    )
    engine: str | None = None
    engine_version: str | None = None
    settings: dict[str, Any] = Field(default_factory=dict, description="engine arguments, address; secrets removed")
    mapping: dict[str, str] | None = Field(default=None, description="the judge's own labels to ours")
    languages: list[str] | None = Field(default=None, description="those that the judge's makers claim; None: no claim")
    out_of_language: int = Field(default=0, description="verdicts on prompts in a language that is not claimed")
    unscored: dict[str, int] = Field(default_factory=dict, description="answers without a verdict by reason")
    refused_from: str | None = Field(default=None, description="who says 'refused' where the judge does not")
    refused_fallbacks: int = Field(default=0, description="answers for which that was so")
    invalid_from: str | None = Field(default=None, description="who finds invalid answers, if not the judge itself")
    translated: int = Field(default=0, description="answers that were translated into English first")
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = Field(default=None, description="US dollars for these tokens, also of stored replies")
    combine: Literal["majority", "strictest"] | None = None
    members: list["JudgeInfo"] = Field(default_factory=list, description="of an ensemble")
    agreement: dict[str, dict[str, Agreement]] = Field(
        default_factory=dict, description="of an ensemble, by task and language"
    )


class RunRecord(_Model):
    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: Literal["complete", "partial"]
    limited: bool = Field(description="--limit was used; such runs stay out of leaderboards")
    created: str
    finished: str
    spec: RunSpec
    model: ModelInfo
    prompting: Prompting
    judge: JudgeInfo
    tasks: list[TaskResult]
    phases: dict[str, float] = Field(description="wall time in seconds of each phase, in the command that finished it")
    responses: dict[str, int] = Field(
        description="by the command that finished generating: generated, and taken from the store"
    )
    packages: dict[str, str | None]
    hardware: dict[str, Any]
    git: dict[str, Any] = Field(description="commit and dirty flag of mlc-bench's own checkout, if it is one")


def is_secret(name: str) -> bool:
    """Whether the value of an argument of this name may be a password or a key."""
    return _SECRET.search(name) is not None and name not in _NOT_SECRET


def without_secrets(spec: RunSpec) -> RunSpec:
    """The spec as records show it: no value of an argument that may be secret, no credentials in the address."""
    arguments = {key: "(removed)" if is_secret(key) else value for key, value in spec.engine_args.items()}
    address = spec.base_url
    if address and "@" in urlsplit(address).netloc:
        parts = urlsplit(address)
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return spec.model_copy(update={"engine_args": arguments, "base_url": address})


def read(path: Path) -> RunRecord:
    """A record from disk. Raises StaleError for one of a newer schema and for one that is not a record."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        version = content["schema_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StaleError(f"{path} is not a run record ({error}); remove it or name another --output") from None
    if not isinstance(version, int):
        raise StaleError(f"{path} is not a run record (schema_version {version!r}); remove it or name another --output")
    if version > SCHEMA_VERSION:
        raise StaleError(
            f"{path} has schema version {version}, this mlc-bench reads up to {SCHEMA_VERSION}; "
            "upgrade mlc-bench, or name another --output"
        )
    try:
        return RunRecord.model_validate(_migrate(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StaleError(f"{path} is not a valid run record: {where}: {first['msg']}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _migrate(content: dict[str, Any]) -> dict[str, Any]:
    """The content in today's schema. 1 to 2: outcomes are absent; the manifest of an adapter stands beside it."""
    if content["schema_version"] == 1 and isinstance(model := content.get("model"), dict):
        if not isinstance(model.get("adapter"), dict):
            return content | {"schema_version": SCHEMA_VERSION}
        adapter = dict(model["adapter"])
        manifest = adapter.pop("manifest", None)
        content = content | {"model": model | {"adapter": adapter, "training": manifest}}
    return content | {"schema_version": SCHEMA_VERSION}


def write(record: RunRecord, path: Path) -> None:
    """Write a record whole or not at all."""
    write_text(path, record.model_dump_json(indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file by a temporary one and a rename, so that no reader ever sees half of it."""
    partial = path.with_name(f".{path.name}.{threading.get_native_id()}")  # of its own for each process and thread
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def schema() -> str:
    """The JSON schema of a record, as `record.schema.json` holds it."""
    return json.dumps(RunRecord.model_json_schema(), indent=1) + "\n"
