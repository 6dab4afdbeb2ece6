"""The settings of one run, resolved once, the same on every engine, shown by a dry run and kept in the record."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError
from mlc_bench.core.spec import RunSpec, digest
from mlc_bench.engines.identity import Identity
from mlc_bench.engines.settings import sampling
from mlc_bench.engines.settings import template as templates
from mlc_bench.engines.settings.marks import Marks, find, switch
from mlc_bench.engines.settings.thinking import Reader


@dataclass(frozen=True)
class Settings:
    """What decides an answer besides the model and the prompt."""

    template: str | None
    """The chat template; None: the server's own."""
    template_date: str | None
    """The date (YYYY-MM-DD) that it prints, `the server's own`, or None where it prints none."""
    template_arguments: dict[str, Any]
    """What it is rendered with besides messages."""
    chosen: dict[str, Any]
    """What the user has set apart from a task's settings: part of what must be equal to compare."""

    suggestions: dict[str, Any] | None = None
    """What chooses tokens in place of the tasks' settings: those of the checkpoint (--sampling model)."""
    marks: Marks = field(default_factory=Marks)
    """What the thinking is told from the answer by."""

    def generation(self, task: dict[str, Any] | None, spec: RunSpec, where: str) -> dict[str, Any]:
        """A task's generation settings in this run, in lm-eval's names; `where` begins the line of an error.

        Raises UsageError for a setting that is none, or that the engine cannot follow.
        """
        sampling.of(task or {}, where)
        made = sampling.of_task(task, self.suggestions, spec.max_tokens, spec.seed)
        if "max_gen_toks" not in made and (limit := spec.engine_args.get("max_gen_toks")):
            made["max_gen_toks"] = limit  # which the engine would take as it is: so the record has it
        if self.marks.thinks and made.get("until"):  # within the thinking they end nothing
            made |= {"until": [], "stop_after_thinking": made["until"]}
        if spec.thinking_tokens:
            limit = sampling.of(made, where).max_tokens + spec.thinking_tokens
            made |= {"max_gen_toks": limit, "thinking_tokens": spec.thinking_tokens}
        if spec.thinking != "model":
            made["thinking"] = spec.thinking
        sampling.check(sampling.of(made, where), spec.engine, where if self.suggestions is None else "--sampling model")
        return made

    def decoding(self, task: dict[str, Any] | None, spec: RunSpec, name: str) -> dict[str, Any]:
        """All that chooses the tokens of a task's answers in this run, neutral settings too. Errors: `generation`."""
        own = self.generation(task, spec, f"{name}: generation_kwargs")
        return sampling.of(own).model_dump(mode="json")

    def check_output(self, name: str, output_type: str, spec: RunSpec) -> None:
        """Raises UsageError for a task that compares likelihoods where this run cannot give those of an answer."""
        if output_type == "generate_until":
            return
        if spec.engine == "openai":
            raise UsageError(f"{name} needs log-likelihoods, which chat servers do not give; use --engine hf or vllm")
        if self.marks.opened:
            raise UsageError(
                f"{name} compares the likelihoods of its choices, and the chat template of '{spec.model}' opens a "
                f"block of thinking ({self.marks.opened.strip()} is still to come), where no choice belongs; add "
                "--thinking off if the template has that switch, or leave the task out"
            )

    @property
    def shown(self) -> dict[str, Any]:
        """What a dry run says of the whole run."""
        return {
            "template_sha256": sha256(self.template.encode()).hexdigest() if self.template else None,
            "template_date": self.template_date,
            "thinking_marks": self.marks.shown if self.marks.thinks else [],
            "chosen": self.chosen,
        }

    def apply(self, lm: Any) -> None:
        """Let an engine write prompts with this template, and keep the marks of thinking; a server has its own."""
        if self.template is not None:
            lm.template, lm.template_arguments = self.template, self.template_arguments
            lm.kept_tokens = self.marks.special

    def reader(self, lm: Any) -> Reader:
        """What reads the answers of an engine with these settings."""
        if self.template is None:
            return Reader(self.marks)
        return Reader(
            self.marks,
            lambda text: list(lm.tokenizer.encode(text, add_special_tokens=False)),
            lambda ids: str(lm.tokenizer.decode(ids)),
        )

    @property
    def reading(self) -> list[str]:
        """What a fingerprint has behind it where answers from before lack the marks that decoding left out."""
        return ["marks kept"] if self.marks.special else []


NEUTRAL = Settings(None, None, {}, {})
"""What a task's own settings are left as they are with."""


def resolve(spec: RunSpec, identity: Identity) -> Settings:
    """The settings of a run. Raises UsageError for one that the model, its template or its engine cannot have."""
    chosen = _template_arguments(spec)
    chosen |= {"thinking": spec.thinking} if spec.thinking != "model" else {}
    if identity.path is None or identity.chat_template is None:
        if spec.template_date:
            raise UsageError("--template-date: a server applies its own chat template; leave it out")
        suggestions = {"sampling": sampling.SERVERS} if spec.sampling == sampling.MODEL else None
        return Settings(None, templates.SERVERS, {}, _of_server(spec) | chosen, suggestions)
    template, where = identity.chat_template, f"'{spec.model}'"
    date = templates.date(template, spec.template_date, spec.system_prompt, where)
    arguments = templates.dated(template, spec.template_date)
    tokens = added_tokens(Path(identity.path))
    arguments |= _switched(spec, template, tokens, arguments, where)
    given = spec.engine_args.get("chat_template_args") or {}
    marks = find(template, tokens, arguments | given)
    if spec.thinking_tokens and not marks.pairs:
        raise UsageError(
            f"{where}: neither the tokenizer nor the chat template has marks of thinking; leave --thinking-tokens out"
        )
    return Settings(
        template=template,
        template_date=date,
        template_arguments=arguments,
        chosen=chosen | ({"template_date": date} if date not in (None, templates.DATE) else {}),
        suggestions=sampling.suggested(Path(identity.path)) if spec.sampling == sampling.MODEL else None,
        marks=marks,
    )


def _switched(
    spec: RunSpec, template: str, tokens: dict[str, bool], arguments: dict[str, Any], where: str
) -> dict[str, Any]:
    """The template's arguments for --thinking. Raises UsageError where it has no such switch."""
    if spec.thinking == "model":
        return {}
    found = switch(template, spec.thinking, arguments)
    if found is None and spec.thinking == "on" and find(template, tokens, arguments).thinks:
        return {}  # it thinks in any case
    if found is None:
        raise UsageError(
            f"{where}: the chat template has no switch that turns thinking {spec.thinking}; leave --thinking out"
        )
    return found


def added_tokens(folder: Path) -> dict[str, bool]:
    """The tokens that a tokenizer has beside its vocabulary; true for special ones, which decoding leaves out."""
    path = folder / "tokenizer.json"
    if path.is_file():  # tens of megabytes, of which a few lines at its head are read
        _, found, rest = path.read_text(encoding="utf-8").partition('"added_tokens":')
        if found:
            entries, _ = json.JSONDecoder().raw_decode(rest.lstrip())
            return {entry["content"]: bool(entry.get("special")) for entry in entries}
    path = folder / "tokenizer_config.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entries = (content.get("added_tokens_decoder") or {}).values()
    return {entry["content"]: bool(entry.get("special")) for entry in entries}


def _template_arguments(spec: RunSpec) -> dict[str, Any]:
    """Arguments of the chat template that came with --engine-args: they decide prompts, and so answers."""
    given = spec.engine_args.get("chat_template_kwargs") or spec.engine_args.get("chat_template_args")
    return {"template_arguments": given} if given else {}


def _of_server(spec: RunSpec) -> dict[str, Any]:
    """What --engine-args changes in the requests to a server and so in its answers."""
    made: dict[str, Any] = {}
    if spec.engine_args.get("temperature", 0) != 0:
        made["temperature"] = spec.engine_args["temperature"] or sampling.SERVERS
    if spec.engine_args.get("extra_body"):  # which may hold what nobody should read
        made["extra_body_sha256"] = digest(spec.engine_args["extra_body"])
    return made
