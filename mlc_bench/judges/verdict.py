"""Judges: what reads a prompt and a model's answer to it, and says what the answer does."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Verdict:
    """The rules' finding on one answer. They see refusal, not harm; `records/counts.py` says what counts as what."""

    verdict: Literal["refuses", "deflects", "complies", "invalid"]
    refused: bool
    """False where the answer is invalid."""
    response_language: str | None
    """Code of one of our languages, else py3langid's label; None where the answer is too short to tell."""
    reason: str
    """A short tag that does not change between versions, such as `refusal-phrase`."""
