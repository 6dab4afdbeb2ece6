"""Judge models on this machine, through the engines that run the evaluated models."""

import re
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import PrerequisiteError, UserError
from mlc_bench.core.progress import Report, say
from mlc_bench.core.spec import RunSpec, digest, refuse_copies
from mlc_bench.engines.identity import Identity, resolve
from mlc_bench.engines.settings import sampling
from mlc_bench.engines.settings import template as templates
from mlc_bench.engines.store import ResponseStore
from mlc_bench.judges.models.ask import Reply, Request
from mlc_bench.judges.models.prompt import Message, filled
from mlc_bench.judges.spec import JudgeSpec


class Local:
    """A judge model behind hf or vllm. Loaded on the first request that is not in the store, freed by `close`."""

    def __init__(self, spec: JudgeSpec, judge_id: str) -> None:
        from mlc_bench.engines.lifecycle import default_engine
        from mlc_bench.engines.vllm_cpu import engine_version

        self.spec = spec
        self.id = judge_id
        engine = spec.engine or default_engine()
        # Rendered prompts hold their BOS where the template wants one.
        arguments = {"add_bos_token": False} | spec.engine_args
        self.run_spec = RunSpec(
            model=spec.model or "", revision=spec.revision, engine=engine, engine_args=arguments, tasks=()
        )
        hint = "; a model behind an API needs --judge-args engine=openai" if spec.kind == "llm" else ""
        with NamedErrors(judge_id, hint):
            refuse_copies(arguments)
            self.identity: Identity = resolve(self.run_spec, needs_template=spec.render != "text")
        self.name = self.identity.name
        self.model_revision = self.identity.resolved_revision
        self.engine: str = engine
        self.engine_version = engine_version(engine)
        self._tokenizer: Any = None
        self._lm: Any = None

    @property
    def model_digest(self) -> str:
        """sha256 of what decides the judge's answers, apart from the engine."""
        return self.identity.fingerprint

    @property
    def weights_digest(self) -> str | None:
        return self.identity.weights_digest

    def store(self, folder: Path) -> ResponseStore:
        ignored = sampling.ignored(self.engine, self.identity.path)
        fingerprint = digest(self.model_digest, self.engine, self.engine_version, *ignored)
        return ResponseStore(folder / f"{self.identity.slug}.{fingerprint[:16]}.jsonl", fingerprint)

    def ask(self, requests: list[Request], folder: Path, report: Report) -> list[Reply]:
        """Replies in the order of the requests. A prompt that does not fit into the context is not asked, nor cut."""
        store = self.store(folder)
        arguments = [self._arguments(request) for request in requests]
        keys = [store.key("generate_until", pair, 0) for pair in arguments]
        todo = {key: pair for key, pair in zip(keys, arguments, strict=True) if store.get(key) is None}
        too_long: set[str] = set()
        if todo:
            too_long = self._answer(todo, store, report)
        return [self._reply(store, key, key in too_long) for key in keys]

    def render(self, messages: list[Message]) -> str:
        """The text that the model gets for these messages."""
        if self.spec.render == "text":
            return messages[-1]["content"]
        from jinja2 import TemplateError

        tokenizer = self._load_tokenizer()
        try:
            text: str = tokenizer.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=True,
                **templates.dated(None, None) | self.spec.template_args,
            )
        except TemplateError as error:
            roles = " and ".join(message["role"] for message in messages)
            raise PrerequisiteError(
                f"judge {self.id}: the chat template of '{self.spec.model}' takes no messages of {roles} ({error}); "
                "name another model"
            ) from None
        return text

    def close(self) -> None:
        """Free the model."""
        if self._lm is not None:
            from mlc_bench.engines import lifecycle

            lifecycle.close(self._lm)
            self._lm = None

    def _arguments(self, request: Request) -> tuple[str, dict[str, Any]]:
        settings = {"until": [], "do_sample": False, "temperature": 0.0, "max_gen_toks": request.max_tokens}
        return self.render(request.messages), settings

    def _reply(self, store: ResponseStore, key: str, is_too_long: bool) -> Reply:
        if is_too_long:
            return Reply(None, "too-long", f"longer than the judge's context of {self._lm.max_length} tokens")
        row = store.get(key) or {}
        return Reply(
            row["response"], None, "", row.get("tokens_in"), row.get("tokens_out"), bool(row.get("truncated")), key
        )

    def _answer(self, todo: dict[str, tuple[str, dict[str, Any]]], store: ResponseStore, report: Report) -> set[str]:
        from lm_eval.api.instance import Instance

        from mlc_bench.engines import lifecycle, metered
        from mlc_bench.engines.store import StoredLM

        with NamedErrors(self.id):
            try:
                if self._lm is None:
                    self._check_template()
                    say(f"starting {self.engine} with the judge model {self.identity.name}")
                    self._lm = lifecycle.build(self.run_spec, self.identity, [])
                too_long = {
                    key
                    for key, (text, settings) in todo.items()
                    if len(self._lm.tok_encode(text)) + settings["max_gen_toks"] > self._lm.max_length
                }
                fitting = [pair for key, pair in todo.items() if key not in too_long]
                stored = StoredLM(self._lm, store, metered.chunk_size(self.run_spec), report)
                stored.generate_until([Instance("generate_until", {}, pair, i) for i, pair in enumerate(fitting)])
            except UserError:
                raise
            except Exception as error:
                raise (lifecycle.explain(error, self.run_spec) or error) from error
        return too_long

    def _check_template(self) -> None:
        """Raises PrerequisiteError where a guard's chat template does not give the prompt that its file shows.

        Another prompt is another judge; and it shows that the model is no such guard. White space does not count.
        """
        if self.spec.render != "chat_template":
            return
        exchange = [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]
        given, expected = (
            "".join(text.split()) for text in (self.render(exchange), filled(self.spec.prompt or "", "A?", "B."))
        )
        if given != expected:
            raise PrerequisiteError(
                f"the chat template of '{self.spec.model}' does not give the prompt of the judge '{self.spec.name}' "
                "(its file shows it); name the model that the judge was written for, or write a judge file for this one"
            )

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self.identity.path, trust_remote_code=False)
        return self._tokenizer


class NamedErrors:
    """Errors of the engine say that they are about the judge, and name the judge's options."""

    def __init__(self, judge_id: str, hint: str = "") -> None:
        self.id, self.hint = judge_id, hint

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, UserError) and not str(error).startswith("judge "):
            text = re.sub(r"--engine-args\b", "--judge-args", str(error))
            raise type(error)(f"judge {self.id}: {text}{self.hint}") from error
