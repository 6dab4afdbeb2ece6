"""How tokens are chosen: one set of settings for all engines, neutral unless the task or the user says otherwise.

A checkpoint's generation_config.json counts only with `--sampling model`. Its end tokens always do: they say where an
answer is over.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlc_bench.core.errors import UsageError

MODEL = "model"  # of --sampling: as the checkpoint suggests
SERVERS = "the server's own"


class Generation(BaseModel):
    """All that decides which token comes next. Token ids are those of the model's tokenizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int = Field(256, ge=1, description="most tokens of an answer, its thinking included")
    thinking_tokens: int | None = Field(None, ge=1, description="most of them for thinking; None: as many as there are")
    temperature: float = Field(0.0, ge=0, description="0: greedy, the likeliest token each time")
    top_p: float = Field(1.0, gt=0, le=1, description="share of the probability that is drawn from")
    top_k: int = Field(0, ge=0, description="so many of the likeliest tokens are drawn from; 0: all")
    min_p: float = Field(0.0, ge=0, le=1, description="least probability, as a share of the likeliest token's")
    repetition_penalty: float = Field(1.0, gt=0, description="divides the logits of tokens that were there; 1: off")
    presence_penalty: float = Field(0.0, description="taken off the logits of tokens that were written; 0: off")
    frequency_penalty: float = Field(0.0, description="the same, as often as they were written; 0: off")
    no_repeat_ngram_size: int = Field(0, ge=0, description="no so many tokens twice in a row; 0: off")
    min_tokens: int = Field(0, ge=0, description="no end before so many tokens")
    stop: tuple[str, ...] = Field((), description="an answer ends before any of these strings")
    stop_after_thinking: tuple[str, ...] = Field((), description="the same, where the thinking before it may have them")
    suppressed: tuple[int, ...] = Field((), description="tokens that are never written")
    suppressed_first: tuple[int, ...] = Field((), description="tokens that are not written first")
    forced_first: int | None = Field(None, description="token that is written first")
    forced_last: int | None = Field(None, description="token that is written last where an answer reaches the limit")
    seed: int | None = Field(None, description="of the draws; None where nothing is drawn")

    @property
    def is_drawn(self) -> bool:
        """Whether tokens are drawn by chance."""
        return self.temperature > 0

    @property
    def active(self) -> dict[str, Any]:
        """The settings that are not neutral."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def for_hf(self) -> dict[str, Any]:
        """Arguments of transformers' GenerationConfig, limit and end aside. None is left to defaults of the library."""
        made: dict[str, Any] = {"do_sample": self.is_drawn, "repetition_penalty": self.repetition_penalty}
        made |= {"no_repeat_ngram_size": self.no_repeat_ngram_size, "min_new_tokens": self.min_tokens or None}
        made |= {"suppress_tokens": list(self.suppressed) or None, "forced_eos_token_id": self.forced_last}
        made |= {"begin_suppress_tokens": list(self.suppressed_first) or None}
        if self.is_drawn:
            made |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k, "min_p": self.min_p}
        return made

    def for_vllm(self) -> dict[str, Any]:
        """Arguments of vLLM's SamplingParams, limit and end aside."""
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty")
        made = {name: getattr(self, name) for name in (*names, "frequency_penalty", "min_tokens")}
        return made | ({"logit_bias": {token: -100.0 for token in self.suppressed}} if self.suppressed else {})


# Names that tasks (lm-eval) and checkpoints (transformers) use, and ours.
_NAMES = {
    "max_gen_toks": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "until": "stop",
    "stop": "stop",
    "stop_strings": "stop",
    "min_new_tokens": "min_tokens",
    "suppress_tokens": "suppressed",
    "begin_suppress_tokens": "suppressed_first",
    "forced_bos_token_id": "forced_first",
    "forced_eos_token_id": "forced_last",
}
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")  # the first of them counts
_KEPT = {*_LIMITS, "until", "stop"}  # of a task's settings: what is no choice of tokens
CHOSEN = {"thinking", "sampling"}
"""Settings of a run that stand beside a task's and choose no tokens."""

# What an engine cannot do, by our names. Servers take what they take, and say so.
_CANNOT = {
    "hf": {"presence_penalty", "frequency_penalty"},
    "vllm": {"no_repeat_ngram_size", "suppressed_first", "forced_first", "forced_last"},
    "openai": {"no_repeat_ngram_size", "suppressed", "suppressed_first", "forced_first", "forced_last"},
}


def of(settings: Mapping[str, Any], where: str = "generation_kwargs") -> Generation:
    """The settings of a task or of a request, in lm-eval's names; nulls are as if they were not there.

    Raises UsageError for one that no engine knows and for a value that is none; `where` begins the line.
    """
    given = {key: value for key, value in settings.items() if value is not None and key not in CHOSEN}
    found: dict[str, Any] = {}
    does_sample = given.pop("do_sample", None)
    for name in _LIMITS:
        if name in given:
            found.setdefault("max_tokens", given.pop(name))
    for name, value in given.items():
        ours = _NAMES.get(name, name)
        if ours not in Generation.model_fields:
            known = sorted({*Generation.model_fields, "do_sample"} | set(_NAMES))
            raise UsageError(f"{where}: '{name}' is no setting that every engine knows; known are {', '.join(known)}")
        several = ours in ("stop", "stop_after_thinking", "suppressed", "suppressed_first")
        found[ours] = [value] if several and not isinstance(value, list | tuple) else value
    if does_sample is False:
        found["temperature"] = 0.0
    elif does_sample:
        found.setdefault("temperature", 1.0)
    if found.get("top_k") == -1:  # as vLLM writes "all"
        found["top_k"] = 0
    try:
        return Generation.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{where}: {first['loc'][0]}={first['input']!r}: {first['msg']}") from None


def described(decoding: Mapping[str, Any]) -> str:
    """Decoding settings, as records hold them, in one line: what is not neutral."""
    active = Generation.model_validate(decoding).active
    active.pop("max_tokens", None)
    how = f"drawn at temperature {active.pop('temperature'):g}" if "temperature" in active else "greedy"
    more = "".join(f", {name} {json.dumps(value)}" for name, value in active.items())
    return f"{how}, at most {decoding['max_tokens']} tokens{more}"


def check(generation: Generation, engine: str, where: str) -> None:
    """Raises UsageError for a setting that an engine cannot follow: two engines would not be asked the same."""
    for name in generation.active:
        if name in _CANNOT[engine]:
            able = next((other for other in ("hf", "vllm") if name not in _CANNOT[other]), None)
            raise UsageError(f"{where}: the engine {engine} has no {name}; use --engine {able}, or leave it out")


# What a checkpoint's generation_config.json may hold.
_SUGGESTED = {
    "do_sample", "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty",
    "frequency_penalty", "no_repeat_ngram_size", "max_new_tokens", "min_new_tokens", "stop_strings", "suppress_tokens",
    "begin_suppress_tokens", "forced_bos_token_id", "forced_eos_token_id",
}  # fmt: skip
_DRAWN = {"do_sample", "temperature", "top_p", "top_k", "min_p"}  # without effect where nothing is drawn
# Other ways to choose tokens, with what means off: they are followed by transformers alone.
_FOREIGN: dict[str, Any] = {
    "num_beams": 1, "num_beam_groups": 1, "diversity_penalty": 0, "penalty_alpha": 0, "typical_p": 1,
    "epsilon_cutoff": 0, "eta_cutoff": 0, "top_h": 1, "encoder_repetition_penalty": 1, "bad_words_ids": None,
    "force_words_ids": None, "constraints": None, "sequence_bias": None, "exponential_decay_length_penalty": None,
    "guidance_scale": 1, "watermarking_config": None, "dola_layers": None, "min_length": 0, "num_return_sequences": 1,
    "prompt_lookup_num_tokens": None, "max_time": None,
}  # fmt: skip


def _declared(folder: Path) -> dict[str, Any]:
    """generation_config.json, or the same fields of config.json where there is none, without nulls."""
    for name in ("generation_config.json", "config.json"):
        if (path := folder / name).is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            return {key: value for key, value in content.items() if value is not None}
    return {}


def _is_on(name: str, value: Any) -> bool:
    return value not in (_FOREIGN[name], None, [], {}, False)


def suggested(folder: Path) -> dict[str, Any]:
    """What a checkpoint suggests, in lm-eval's names and without what is neutral or has no effect.

    Raises UsageError for a suggestion that not every engine could follow, and for a value that is none.
    """
    where = f"--sampling model: {folder / 'generation_config.json'}"
    declared = _declared(folder)
    for name in _FOREIGN:
        if name in declared and _is_on(name, declared[name]):
            raise UsageError(f"{where} sets {name}, which mlc-bench does not apply; leave --sampling out")
    known = {name: declared[name] for name in sorted(_SUGGESTED & set(declared))}
    if not known.get("do_sample"):
        known = {name: value for name, value in known.items() if name not in _DRAWN}
    generation = of(known, where)
    made: dict[str, Any] = {"do_sample": True} if generation.is_drawn else {"do_sample": False, "temperature": 0.0}
    back = {"max_tokens": "max_gen_toks", "stop": "until"} | {
        ours: name for name, ours in _NAMES.items() if ours not in ("max_tokens", "stop")
    }
    return made | {back.get(name, name): value for name, value in generation.active.items()}


def decides_greedy(folder: Path) -> bool:
    """Whether a checkpoint suggests something that transformers would apply to greedy decoding, too."""
    declared = _declared(folder)
    greedy = {name: declared[name] for name in (_SUGGESTED - _DRAWN) & set(declared)}
    foreign = any(name in declared and _is_on(name, declared[name]) for name in _FOREIGN)
    try:
        return foreign or bool(of(greedy).active)
    except UsageError:
        return True


def ignored(engine: str, folder: str | None) -> list[str]:
    """What a fingerprint has behind it where answers from before were made with a checkpoint's suggestions."""
    return ["neutral"] if engine == "hf" and folder and decides_greedy(Path(folder)) else []


def end_tokens(folder: Path) -> list[int]:
    """Ids of the tokens that end an answer: those of config.json, of its text part and of generation_config.json."""
    found: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for part in (content, content.get("text_config")):
            ends = part.get("eos_token_id") if isinstance(part, dict) else None
            found |= {end for end in (ends if isinstance(ends, list) else [ends]) if type(end) is int}
    return sorted(found)


def let_end(tokenizer: Any, ends: list[int]) -> None:
    """Give a tokenizer without an end token the first that the model's configuration names: lm-eval asks it for one."""
    if tokenizer.eos_token_id is None and ends:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(ends[0])


def of_task(
    task: Mapping[str, Any] | None, suggestions: Mapping[str, Any] | None, max_tokens: int | None, seed: int
) -> dict[str, Any]:
    """A task's generation settings in a run, in lm-eval's names.

    `suggestions`: what replaces the task's choice of tokens (--sampling model). `max_tokens`: the user's limit, which
    goes before any other. The seed is a part of them only where tokens are drawn.
    """
    made = {key: value for key, value in (task or {}).items() if _NAMES.get(key) != "stop" or key == "until"}
    if stop := [text for name in ("stop", "stop_strings") for text in _listed((task or {}).get(name))]:
        made["until"] = [*_listed(made.get("until")), *stop]
    if suggestions is not None:
        stop = [*_listed(made.get("until")), *_listed(suggestions.get("until"))]
        made = {key: value for key, value in made.items() if key in _KEPT} | dict(suggestions) | {"until": stop}
    limits = [max_tokens, *(made.pop(name, None) for name in _LIMITS)]
    if limit := next((number for number in limits if number is not None), None):
        made["max_gen_toks"] = limit  # under the one name that all engines of lm-eval read first
    return made | ({"seed": seed} if made.get("sampling") or of(made).is_drawn else {})


def _listed(value: Any) -> list[str]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
