"""What goes to a judge model and what comes back, wherever it runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlc_bench.core.progress import Report
from mlc_bench.judges.models.prompt import Message


@dataclass(frozen=True)
class Request:
    """One question to a judge model."""

    messages: list[Message]
    max_tokens: int


@dataclass(frozen=True)
class Reply:
    """The judge model's text, or the reason (a short tag, and a detail for people) why there is none."""

    text: str | None
    reason: str | None = None
    detail: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    truncated: bool = False
    key: str = ""
    """The same for requests that were sent once: their tokens count once."""


class Asker(Protocol):
    """A judge model that can be asked: `Local` on this machine, `Api` behind a server."""

    name: str
    engine: str
    engine_version: str | None
    model_revision: str | None

    @property
    def weights_digest(self) -> str | None:
        """None behind a server: its weights cannot be seen."""

    @property
    def model_digest(self) -> str: ...

    def ask(self, requests: list[Request], folder: Path, report: Report) -> list[Reply]: ...

    def close(self) -> None: ...
