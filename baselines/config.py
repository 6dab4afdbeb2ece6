"""What a training run is: settings with their defaults, read from a YAML file and from `--key value` options."""

from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError, unknown


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MLC(Settings):
    """The auxiliary loss on representations of a prompt's translations. Defaults: the published settings."""

    objective: Literal["rank", "signed", "cosine", "contrast"] = Field(
        "rank",
        description="rank: as published; signed: tells +z from -z; cosine: pairwise to English; contrast: rank, and "
        "harmless partners held apart from harmful prompts as in English",
    )
    form: Literal["code", "paper"] = Field("code", description="logits over stop-gradient s_1 (code) or not (paper)")
    tau: float = Field(0.2, gt=0, description="temperature")
    weight: float = Field(0.8, ge=0, description="lambda: its share in the loss")
    every: int = Field(2, ge=1, description="optimizer steps between two that carry it")
    layer: int | float | None = Field(None, description="1 to depth, or a fraction of the depth; default: the last")
    extractor: int = Field(512, ge=0, description="dimensions of the linear layer before the loss; 0: none")
    center: bool = Field(False, description="subtract the mean of a batch's prompts first; needs batch_size 2 or more")
    contrast: float = Field(1.0, ge=0, description="of objective contrast: weight of the pairs beside the rank loss")
    sample: int | None = Field(
        None, ge=1, description="languages beside English in a group, drawn anew at each step; default: all"
    )
    kinds: Literal["all", "harmful", "benign"] = Field("all", description="which training rows bring their prompts")
    besides: list[str] = Field([], description="more files whose prompts form groups, one with each training row")


class Lora(Settings):
    """An adapter instead of full weights."""

    r: int = Field(16, ge=1, description="rank")
    alpha: int = Field(32, ge=1, description="the update is scaled by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the adapter's inputs set to zero")
    targets: list[str] | Literal["all-linear"] = Field("all-linear", description="modules that get an adapter")


class TrainConfig(Settings):
    """Settings that all methods share; a method's own `Config` adds its own."""

    packs: ClassVar[bool] = False
    """Whether the method's trainer can put several examples in a row."""

    model: str = Field(description="hub id, local folder, or a demo model ('demo-tiny')")
    revision: str | None = Field(None, description="hub revision: branch, tag or commit")
    data: list[str] = Field(["embedded"], min_length=1, description="files, or 'embedded'")
    keep_out: list[str] = Field(["starter"], description="test tasks whose prompts are left out of the training data")
    output: Path = Field(description="folder of checkpoints, weights, logs and train_manifest.json")
    seed: int = Field(42, ge=0, lt=2**32, description="of the order of the data and of new weights")
    epochs: float = Field(3, gt=0, description="passes over the data")
    max_steps: int | None = Field(None, ge=1, description="optimizer steps; overrides epochs")
    batch_size: int = Field(1, ge=1, description="rows for each device and forward pass")
    accumulation: int = Field(4, ge=1, description="forward passes for each optimizer step")
    learning_rate: float = Field(6e-7, gt=0, description="the highest, after the warmup")
    scheduler: Literal[
        "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
    ] = Field("cosine", description="how the learning rate falls: transformers' schedules that need no more settings")
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(0.0, ge=0, description="of AdamW")
    max_grad_norm: float = Field(1.0, gt=0, description="longer gradients are scaled down to it")
    cutoff: int = Field(1024, ge=8, description="tokens of prompt and response; longer prompts are left out")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="of the weights")
    bf16: bool | None = Field(None, description="compute in bfloat16; default: on a GPU")
    gradient_checkpointing: bool = Field(False, description="less memory for activations, more time")
    packing: bool = Field(False, description="several examples in a row (sft only, not with MLC)")
    save_steps: int = Field(50, ge=1, description="optimizer steps between two checkpoints")
    keep_checkpoints: int | Literal["all"] = Field(
        0, description="the last so many stay, each fit to be scored; all: every one; 0: none after training"
    )
    score_every: int | None = Field(
        None, ge=1, description="optimizer steps between two scores on the development pairs; a multiple of save_steps"
    )
    score_languages: list[str] = Field([], description="of these scores; default: those of the development pairs")
    score_max_tokens: int | None = Field(
        None, ge=1, description="most tokens of an answer in these scores; default: those of the tasks"
    )
    report_to: list[Literal["wandb", "trackio", "tensorboard", "none"]] = Field(
        ["none"], min_length=1, description="trackers that get loss and scores: wandb, trackio, tensorboard"
    )
    lora: Lora | None = Field(None, description="train an adapter instead of all weights")
    mlc: MLC | None = Field(None, description="add the MLC loss")

    @model_validator(mode="after")
    def _together(self) -> "TrainConfig":
        if self.packing and not self.packs:
            raise ValueError("packing: this method cannot pack, supervised fine-tuning (sft) can; leave it out")
        if self.mlc and self.packing:
            raise ValueError("packing and mlc exclude each other: a packed row no longer has prompts of its own")
        if self.mlc and self.mlc.center and self.batch_size < 2:
            raise ValueError("mlc.center needs batch_size 2 or more: the mean is over the groups of a batch")
        if self.keep_checkpoints != "all" and self.keep_checkpoints < 0:
            raise ValueError("keep_checkpoints: a number from 0 on, or all")
        if self.score_every and self.score_every % self.save_steps:
            raise ValueError(
                f"score_every {self.score_every} is no multiple of save_steps {self.save_steps}, and a checkpoint is "
                f"scored; add --save-steps {self.score_every}"
            )
        if not self.score_every and (self.score_languages or self.score_max_tokens):
            raise ValueError(f"score_{'languages' if self.score_languages else 'max_tokens'} goes with score_every")
        if "none" in self.report_to and len(self.report_to) > 1:
            raise ValueError("report_to: 'none' stands alone")
        return self


Config = TypeVar("Config", bound=TrainConfig)
_LISTS = ("data", "keep_out", "besides", "targets", "languages", "score_languages", "report_to")


def load(kind: type[Config], file: Path | None, options: list[str]) -> Config:
    """Settings from a YAML file and options, which win. Raises UsageError in one line for what is wrong."""
    values: dict[str, Any] = {}
    if file is not None:
        try:
            values = safe_yaml.load(bounded.read_text(file)) or {}
        except FileNotFoundError:
            raise UsageError(f"--config {file}: there is no such file") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UsageError(f"--config {safe_yaml.malformed(file, error)}") from None
        if not isinstance(values, dict):
            raise UsageError(f"--config {file}: settings are expected, one `key: value` a line")
    for key, value in _pairs(options):
        if value is None:
            value = _flag(kind, key)
        _put(values, key.split("."), value)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _explained(kind, error) from None


def _pairs(options: list[str]) -> list[tuple[str, Any]]:
    """`--key value`, `--key=value`, `--flag` as keys with values, which are read as YAML; a flag has None."""
    pairs: list[tuple[str, Any]] = []
    index = 0
    while index < len(options):
        option = options[index]
        if not option.startswith("--") or len(option) == 2:
            raise UsageError(f"'{option}': options are of the form --key value")
        key, equals, value = option[2:].partition("=")
        index += 1
        if not equals and index < len(options) and not options[index].startswith("--"):
            value = options[index]
            index += 1
        elif not equals:
            pairs.append((key.replace("-", "_"), None))
            continue
        try:
            read = safe_yaml.load(value)
        except yaml.YAMLError:
            read = value
        pairs.append((key.replace("-", "_"), read))
    return pairs


def _flag(kind: type[Settings], key: str) -> bool:
    """True, for an option without a value that needs none."""
    first, *rest = key.split(".")
    field = kind.model_fields.get(first)
    for part in _parts(field.annotation) if field else ():
        if issubclass(part, Settings) and rest:
            return _flag(part, ".".join(rest))
        if issubclass(part, Settings | bool):
            return True
    if field is None:
        raise unknown("setting", key, keys(kind))
    raise UsageError(f"--{key} needs a value: --{key} VALUE")


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a value under a dotted key. `--mlc` alone means: with its defaults; `--data a,b` is a list."""
    *parents, last = path
    for parent in parents:
        if not isinstance(values.get(parent), dict):
            values[parent] = {}
        values = values[parent]
    if last in ("mlc", "lora") and not parents and isinstance(value, bool):
        value = (values.get(last) or {}) if value else None
    if last in _LISTS and isinstance(value, str) and value != "all-linear":
        value = [part.strip() for part in value.split(",") if part.strip()]
        if not value:
            option = f"--{'.'.join(path)}"
            raise UsageError(f"{option} names nothing; name one or more, or leave {option} out ({option} [] is none)")
    values[last] = value


def _explained(kind: type[Settings], error: ValidationError) -> UsageError:
    first, *more = error.errors()
    path = [part for part in first["loc"] if isinstance(part, str) and part.replace("_", "").isalnum()]
    name = ".".join(path)
    if first["type"] == "extra_forbidden":
        return unknown("setting", name, keys(kind))
    while path and ".".join(path) not in keys(kind):  # what the setting may be: `int`, of a number or a word
        path.pop()
    name = ".".join(path)
    if first["type"] == "missing":
        return UsageError(f"the setting '{name}' is missing; give --{name} or put it into the --config file")
    words = [one["msg"] for one in more if one["loc"][:1] == first["loc"][:1] and one["type"] == "literal_error"]
    either = "".join(f", or {word.removeprefix('Input should be ')}" for word in words)
    message = first["msg"].removeprefix("Value error, ") + either
    return UsageError(f"{name} {first['input']}: {message[0].lower()}{message[1:]}" if name else message)


def keys(kind: type[Settings], prefix: str = "") -> list[str]:
    """All settings with their dotted names."""
    found = []
    for name, field in kind.model_fields.items():
        inner = next((part for part in _parts(field.annotation) if issubclass(part, Settings)), None)
        found.append(prefix + name)
        if inner is not None:
            found += keys(inner, f"{prefix}{name}.")
    return found


def described(kind: type[Settings], prefix: str = "") -> list[str]:
    """A line for each setting: its dotted name, default and meaning."""
    lines = []
    for name, field in kind.model_fields.items():
        default = "" if field.is_required() else f" [{field.default}]"
        lines.append(f"{prefix}{name}{default}  {field.description or ''}".rstrip())
        for part in _parts(field.annotation):
            if issubclass(part, Settings):
                lines += described(part, f"{prefix}{name}.")
    return lines


def _parts(annotation: Any) -> list[type]:
    return [part for part in (annotation, *getattr(annotation, "__args__", ())) if isinstance(part, type)]
