"""The run record, `run.json`: what was run, on what, and every metric with its n and interval.

Records hold no prompts, no answers and no secrets. `record.schema.json` is this model's JSON schema;
tests/records/test_record.py keeps the two equal.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlc_bench.core import bounded, secrets
from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.core.names import is_name, shown
from mlc_bench.core.spec import RunSpec
from mlc_bench.records.judge_info import Agreement as Agreement
from mlc_bench.records.judge_info import Checked as Checked
from mlc_bench.records.judge_info import JudgeInfo as JudgeInfo
from mlc_bench.records.judge_info import LabelUse as LabelUse
from mlc_bench.records.migration import migrate
from mlc_bench.stats.measures import Outcomes

SCHEMA_VERSION = 4
MOST = 10**9  # no count in a record is larger
LARGEST = 256 << 20  # bytes of a record


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Value(_Model):
    """A number with its 95 % interval. None: undefined (nothing to divide by, or fewer than two languages)."""

    value: float | None = Field(description="a rate as a fraction, or another measure as it is")
    low: float | None = Field(None, description="lower end of the interval")
    high: float | None = Field(None, description="upper end of the interval")
    n: int = Field(
        ge=0, le=MOST, description="prompts (of one language) or prompts with a verdict in two languages or more"
    )


class AdapterInfo(_Model):
    """A peft adapter on the model."""

    name: str = Field(description="folder or hub id")
    digest: str = Field(description="sha256 of its weights and its configuration")
    merged: bool = Field(default=False, description="into the weights, before the engine loaded them")


class ModelInfo(_Model):
    """The model that answered, and the engine that ran it."""

    name: str = Field(description="as the user gave it")
    requested_revision: str | None = Field(description="as the user gave it")
    resolved_revision: str | None = Field(description="the hub's commit; None for a folder and for a server")
    weights_digest: str | None = Field(description="None for a server: its weights cannot be verified")
    config_digest: str | None = Field(description="sha256 of the model's configuration")
    tokenizer_digest: str | None = Field(description="sha256 of the tokenizer's files")
    adapter: AdapterInfo | None = Field(description="the peft adapter, if there is one")
    converted_from: str | None = Field(
        default=None, description="sha256 of the GGUF file that a demo model's weights were dequantised from"
    )
    training: dict[str, Any] | None = Field(
        default=None, description="the train_manifest.json beside the adapter or the model: method, base model, data"
    )
    fingerprint: str = Field(description="sha256 of all that decides the answers, the engine included")
    dtype: str | None = Field(description="of the weights as they were loaded")
    quantization: str | None = Field(description="the method, if the weights are quantized")
    engine: str = Field(description="hf, vllm or openai")
    engine_version: str | None = Field(description="of transformers or vLLM; None for a server")
    engine_args: dict[str, Any] = Field(description="as given, secrets removed")


class Prompting(_Model):
    """What the model was shown around each prompt."""

    chat_template: str | None = Field(description="None: the server applies its own")
    chat_template_sha256: str | None = Field(description="sha256 of the template's text")
    template_date: str | None = Field(
        default=None,
        description="date (YYYY-MM-DD) that the template prints; None: it prints none, or the record is from before "
        "this field; of a server: its own, unknown to us",
    )
    thinking_marks: list[str] = Field(
        default_factory=list,
        description="what the template writes around thinking, opening and closing mark; empty: it has no place for "
        "it, or the server's is unknown",
    )
    system_prompt: str | None = Field(description="put before every prompt")
    first_token_ids: list[int] | None = Field(description="of one prompt; shows a doubled BOS")


class LanguageResult(_Model):
    """One task in one language."""

    n: int = Field(ge=0, le=MOST, description="prompts that were asked")
    n_unscored: int = Field(ge=0, le=MOST, description="answers without a verdict (the judge failed); in no rate")
    truncated: int | None = Field(description="answers that stopped at the token limit")
    tokens_in: int | None = Field(description="of all prompts, template included; None: the engine does not say")
    tokens_out: int | None = Field(description="of all answers")
    data_fingerprint: str = Field(description="sha256 of the rows")
    prompt_fingerprint: str = Field(description="sha256 of the prompts as they were asked")
    comparability_key: str = Field(description="rows share a column only where these are equal")
    metrics: dict[str, Value] = Field(description="by name: refusal_rate, over_refusal, invalid_rate, ...")
    outcomes: str | None = Field(
        default=None,
        pattern="^[01ibu-]*$",
        description="one character a prompt, in the order of the data: '1' the headline holds (safe, refused, right), "
        "'0' it does not, 'i' the answer is invalid, 'b' it holds as the provider blocked the answer (schema 3), "
        "'u' the judge is unsure (schema 4), '-' it has no verdict; None beside scores and in records of schema 1",
    )
    refusals: str | None = Field(
        default=None,
        pattern="^[01ibu-]*$",
        description="of a headline that is a safe rate, where the judge says of every answer whether it refuses: the "
        "same for the refusal rate (schema 4)",
    )
    scores: list[float | None] | None = Field(
        default=None,
        description="of a headline that is not right or wrong (F1, chrF): what each prompt got, in the order of the "
        "data; None (of one prompt): no score (schema 3)",
    )

    @property
    def column(self) -> Outcomes | None:
        """What the record keeps of each prompt: outcomes or scores; None in records of schema 1."""
        return self.outcomes if self.outcomes is not None else self.scores

    @model_validator(mode="after")
    def _one_outcome_a_prompt(self) -> Self:
        if self.outcomes is not None and self.scores is not None:
            raise ValueError("either outcomes or scores")
        if self.column is not None and len(self.column) != self.n:
            raise ValueError(f"{len(self.column)} outcomes of {self.n} prompts")
        if self.refusals is not None and len(self.refusals) != self.n:
            raise ValueError(f"{len(self.refusals)} refusals of {self.n} prompts")
        return self


class AcceptedFaults(_Model):
    """Faults of a task's data that its folder lists as known, with one reason."""

    check: str = Field(description="what finds them: duplicate, english (not translated), script, ...")
    reason: str = Field(description="why they stay")
    n: int = Field(ge=0, le=MOST, description="rows that have the fault, each language apart")
    languages: list[str] = Field(description="codes of the languages")


class TaskResult(_Model):
    """One task in all its languages."""

    name: str = Field(description="of the task")
    pack: str = Field(description="the folder that the task is in")
    version: int = Field(ge=0, le=MOST, description="goes up whenever prompts, data or settings change")
    measures: Literal["safety", "over_refusal", "utility"] = Field(description="what a number of this task means")
    status: Literal["complete", "failed"] = Field(description="a failed task has no numbers")
    error: str | None = Field(None, description="why it failed")
    over_refusal_task: str | None = Field(None, description="the task that is shown beside it")
    over_refusal_pairs: bool = Field(
        default=False, description="row k of that task is the harmless partner of this task's row k (schema 4)"
    )
    licence: str | None = Field(default=None, description="of the data, and what it forbids")
    caution: str | None = Field(default=None, description="what a reader of its numbers must know")
    unreviewed: list[str] = Field(
        default_factory=list, description="languages with drafts of a model among their rows that no speaker has read"
    )
    accepted: list[AcceptedFaults] = Field(
        default_factory=list, description="known faults of the data in these languages that were accepted (schema 3)"
    )
    parallel: bool = Field(default=True, description="row k is the same prompt in every language")
    headline: str | None = Field(default=None, description="the metric that tables show")
    lower_is_better: bool = Field(
        default=False, description="of a utility task: of its headline, say an error rate (schema 3)"
    )
    generation: dict[str, Any] = Field(
        default_factory=dict, description="settings of the task and of the run that must be equal to compare"
    )
    decoding: dict[str, Any] = Field(
        default_factory=dict,
        description="everything that chose the tokens, neutral settings too: limit, sampling, penalties, stop strings, "
        "suppressed and forced tokens",
    )
    policy: dict[str, Any] = Field(
        default_factory=dict, description="what else must be equal to compare: prompting, limit, judge"
    )
    languages: dict[str, LanguageResult] = Field(default_factory=dict, description="by language code")
    summary: dict[str, Value] = Field(default_factory=dict, description="over languages")
    worst_language: str | None = Field(None, description="the language with the worst headline")

    @property
    def is_graded(self) -> bool:
        """Whether the headline is a score, not right or wrong (safe or not, refused or not)."""
        return any(result.scores is not None for result in self.languages.values())

    @property
    def is_fraction(self) -> bool:
        """Whether the headline is on the scale from 0 to 1, which tables show as percentages."""
        means = [result.metrics[self.headline or ""].value for result in self.languages.values()]
        scores = [score for result in self.languages.values() for score in result.scores or ()]
        return all(0 <= number <= 1 for number in (*means, *scores) if number is not None)

    @property
    def higher_is_better(self) -> bool:
        """The direction of the headline: much refusal of harmless prompts is bad, much of the others good."""
        return self.measures != "over_refusal" and not self.lower_is_better

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        for what, names in (("name of a task", [self.name]), ("code of a language", self.languages)):
            for name in names:
                if not is_name(name):  # they become names of files
                    raise ValueError(f"the {what} {shown(name)} is not 1 to 80 letters, digits and ._+-")
        return self

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        lengths = {len(result.column) for result in self.languages.values() if result.column is not None}
        if self.parallel and len(lengths) > 1:
            raise ValueError(
                f"{self.name}: the same prompts in every language, yet outcomes of {sorted(lengths)} prompts"
            )
        for code, result in self.languages.items():
            if self.headline not in result.metrics:
                raise ValueError(f"{self.name}: no {self.headline} in {code}")
        return self


class SelectivityOfLanguage(_Model):
    """Refusal of harmful and of harmless prompts in one language, or on average over languages."""

    harmful: Value = Field(description="refusal rate")
    harmless: Value = Field(description="over-refusal")
    difference: Value = Field(description="selectivity: the first less the second")
    invalid: float = Field(description="share of invalid answers to both kinds of prompts, a fraction")


class Selectivity(_Model):
    """Refusal selectivity of a harmful task and the harmless task that belongs to it."""

    harmful_task: str = Field(description="name of the task with harmful prompts")
    harmless_task: str = Field(description="name of its over-refusal task")
    paired: bool = Field(description="the prompts are partners, and are drawn together in the intervals")
    languages: dict[str, SelectivityOfLanguage] = Field(description="by code: the languages that both tasks have")
    mean: SelectivityOfLanguage | None = Field(description="over the languages that the model answers in")
    mean_of: list[str] = Field(description="codes of these languages")


class RunRecord(_Model):
    """One run: what was asked, of which model, judged by whom, and every number."""

    schema_version: int = Field(SCHEMA_VERSION, description="of this format")
    run_id: str = Field(description="digest of spec, task versions and model; the name of the run's folder")
    status: Literal["complete", "partial"] = Field(description="partial: some tasks failed")
    limited: bool = Field(description="--limit was used; such runs stay out of leaderboards")
    created: str = Field(description="when the command started, UTC, ISO 8601")
    finished: str = Field(description="when the record was written, UTC, ISO 8601")
    spec: RunSpec = Field(description="what was asked for")
    model: ModelInfo = Field(description="which model answered, by digests")
    prompting: Prompting = Field(description="what the model was shown around each prompt")
    judge: JudgeInfo = Field(description="who made the verdicts")
    tasks: list[TaskResult] = Field(description="the results")
    selectivity: list[Selectivity] = Field(
        default_factory=list, description="of each harmful task whose harmless one was run as well (schema 4)"
    )
    phases: dict[str, float] = Field(description="wall time in seconds of each phase, in the command that finished it")
    responses: dict[str, int] = Field(
        description="by the command that finished generating: generated, and taken from the store"
    )
    packages: dict[str, str | None] = Field(description="versions of the packages that decide answers or numbers")
    hardware: dict[str, Any] = Field(description="processor, cores, memory, GPUs")
    git: dict[str, Any] = Field(description="commit and dirty flag of mlc-bench's own checkout, if it is one")

    def _repr_html_(self) -> str:
        from mlc_bench.records import run_table, selectivity  # which read records

        return run_table.html(self) + selectivity.html(self)


def without_secrets(spec: RunSpec) -> RunSpec:
    """The spec as records show it: without what may be secret in its arguments and in the address."""
    address = secrets.address(spec.base_url) if spec.base_url else spec.base_url
    return spec.model_copy(update={"engine_args": secrets.removed(spec.engine_args), "base_url": address})


def read(path: Path) -> RunRecord:
    """A record from disk. Raises StaleError for one of a newer schema and for one that is not a record."""
    try:
        content = json.loads(bounded.read_text(path, LARGEST), parse_constant=_refuse)
        version = content["schema_version"]
    except (UsageError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StaleError(f"{path} is not a run record ({error}); remove it or move it away") from None
    if not isinstance(version, int):
        raise StaleError(f"{path} is not a run record (schema_version {version!r}); remove it or move it away")
    if version > SCHEMA_VERSION:
        raise StaleError(
            f"{path} has schema version {version}, this mlc-bench reads up to {SCHEMA_VERSION}; "
            "upgrade mlc-bench, or move it away"
        )
    try:
        return RunRecord.model_validate(migrate(content, SCHEMA_VERSION))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StaleError(f"{path} is not a valid run record: {where}: {first['msg']}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


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
