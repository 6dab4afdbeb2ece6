"""What --engine-args means for a server: how it is reached, and how it differs from others in what it takes."""

import base64
import os
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlc_bench.core import secrets
from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines.servers.endpoint import Retry
from mlc_bench.engines.settings import sampling
from mlc_bench.records.record import without_secrets


class _Arguments(BaseModel):
    """The arguments by their names; docs/engines.md has a line for each."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_concurrent: int = Field(8, ge=1)
    max_retries: int = Field(6, ge=1)
    timeout: float = Field(300, gt=0)
    auth_token: str | None = None
    header: dict[str, str] = {}
    verify_certificate: bool = True
    ca_cert_path: str | None = None
    max_tokens_field: str = "max_tokens"
    max_gen_toks: int = Field(256, ge=1)
    no_seed: bool = False
    temperature: float | None = 0
    chat_template_kwargs: dict[str, Any] = {}
    extra_body: dict[str, Any] = {}


_FIELDS = {
    "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "min_tokens",
}  # fmt: skip
# The names that templates use: a server's is not known.
_SWITCH = {word: {"enable_thinking": word == "on", "thinking": word == "on"} for word in ("on", "off")}
_CHECKPOINTS = {"vllm", "sglang"}  # kinds of servers that apply a checkpoint's generation_config.json
_NEUTRAL = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}


@dataclass(frozen=True)
class ServerOptions:
    """The arguments of one run, checked. `settings` makes the body of a request, its messages aside."""

    arguments: _Arguments
    seed: int
    key: str
    headers: dict[str, str] = field(repr=False)
    neutral: dict[str, Any] = field(default_factory=dict)
    """Fields for a server that would else take the settings of its checkpoint."""

    @property
    def retry(self) -> Retry:
        return Retry(self.arguments.max_retries)

    @property
    def verify(self) -> bool | str:
        return self.arguments.verify_certificate and (self.arguments.ca_cert_path or True)

    @property
    def all_headers(self) -> dict[str, str]:
        """Those of a request that does not go through the client, which sets the key's itself."""
        return ({"Authorization": f"Bearer {self.key}"} if self.key else {}) | self.headers

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show."""
        in_headers = [value for header in self.headers.values() for value in (header, header.rpartition(" ")[2])]
        return (*in_headers, *secrets.values(self.arguments.model_dump()))

    def settings(self, generation: dict[str, Any]) -> dict[str, Any]:
        """The fields of a request for lm-eval's generation settings; null in `extra_body` leaves a field out."""
        asked = sampling.of({"max_gen_toks": self.arguments.max_gen_toks} | generation)
        made: dict[str, Any] = {self.arguments.max_tokens_field: asked.max_tokens}
        if generation.get("sampling") != sampling.SERVERS:
            made |= self.neutral | {"temperature": asked.temperature or self.arguments.temperature}
        elif "temperature" in self.arguments.model_fields_set:
            made["temperature"] = self.arguments.temperature
        made |= {name: value for name, value in asked.active.items() if name in _FIELDS}
        if asked.stop:  # some servers refuse an empty list, and more than four
            made["stop"] = list(asked.stop[:4])
        if not self.arguments.no_seed:
            made["seed"] = self.seed
        switch = _SWITCH.get(generation.get("thinking", ""), {})
        if given := switch | self.arguments.chat_template_kwargs:
            made["chat_template_kwargs"] = given
        made |= self.arguments.extra_body
        return {name: value for name, value in made.items() if value is not None}

    def on(self, owners: set[str]) -> "ServerOptions":
        """The same for a server whose models are owned by `owners`, as its list of models says."""
        return replace(self, neutral=_NEUTRAL) if owners & _CHECKPOINTS else self

    def most_tokens(self, settings: dict[str, Any]) -> int:
        """The limit of an answer's tokens in what `settings` made."""
        return int(settings.get(self.arguments.max_tokens_field) or self.arguments.max_gen_toks)


def options(spec: RunSpec) -> ServerOptions:
    """The options of a run on a server.

    Raises UsageError for an argument that does not exist and for a value of the wrong kind.
    """
    for name in spec.engine_args:
        if name not in _Arguments.model_fields:
            raise unknown("argument in --engine-args:", name, _Arguments.model_fields)
    try:
        arguments = _Arguments.model_validate(spec.engine_args)
    except ValidationError as error:
        first = error.errors()[0]
        shown = without_secrets(spec).engine_args.get(str(first["loc"][0]))
        raise UsageError(f"--engine-args {first['loc'][0]}={shown}: {first['msg']}") from None
    headers = {
        name.title() if name.casefold() == "authorization" else name: arguments.header[name]
        for name in arguments.header
    }
    user, at, _ = urlsplit(spec.base_url or "").netloc.rpartition("@")
    if arguments.auth_token:
        headers["Authorization"] = f"Bearer {arguments.auth_token}"
    elif at:
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(user).encode()).decode()}"
    return ServerOptions(arguments, spec.seed, os.environ.get("OPENAI_API_KEY", ""), headers)


# What to type where a server does not take a field as it was sent.
_INSTEAD = {
    "max_tokens": "max_tokens_field=max_completion_tokens",
    "max_completion_tokens": "max_tokens_field=max_tokens",
    "seed": "no_seed=true",
    "temperature": "temperature=1 (or temperature=null, to leave it out)",
    "chat_template_kwargs": "chat_template_kwargs={} (and no --thinking)",
}


def instead(name: str) -> str:
    """The option that changes or leaves out a field that the server does not take."""
    option = _INSTEAD.get(name)
    return f"--engine-args {option}" if option else f"--engine-args 'extra_body={{\"{name}\": null}}', to leave it out"
