"""Rewards of GRPO: each says of one answer how good it is, from 0 to 1.

The judge `refusal` decides what refuses. A model trained by it is no longer measured by it: compare by another judge.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.judges.refusal.judge import judged
from mlc_bench.judges.rules import rules

Batch = Callable[..., Sequence[float | None]]
"""A reward as TRL calls it: `prompts`, `completions`, `completion_ids`, and the columns `language` and `kind`."""


@dataclass(frozen=True)
class Answered:
    """An answer with its prompt; `kind`: harmful or benign; `is_cut`: it reached the limit of tokens."""

    prompt: str
    language: str
    kind: str
    answer: str
    is_cut: bool = False


def refusal(one: Answered) -> float:
    """Probability that it refuses a harmful prompt, or does not refuse a benign one; 0 for what is no answer."""
    row = {"prompt": one.prompt, "response": one.answer, "language": one.language, "truncated": one.is_cut}
    found = judged(row)
    if found["verdict"] == "invalid":
        return 0.0
    refuses = float(found["probability"])
    return refuses if one.kind == "harmful" else 1 - refuses


def language(one: Answered) -> float:
    """Whether it is in the prompt's language; 0 where that cannot be told.

    Training by reward alone makes models fall back to English (arXiv 2506.05850).
    """
    found = rules.read(one.prompt, one.answer, one.language, one.is_cut, False)
    spoken = found.response_language if isinstance(found, rules.Verdict) else found.spoken
    return float(spoken == one.language)


def content(one: Answered) -> float:
    """Whether it says something: it is not empty, no noise, no loop and not the prompt again."""
    found = rules.read(one.prompt, one.answer, one.language, one.is_cut, False)
    return float(not isinstance(found, rules.Verdict) and found.fault() is None)


OURS: dict[str, Callable[[Answered], float]] = {"refusal": refusal, "language": language, "content": content}


def get(name: str, most_tokens: int) -> Batch:
    """A reward by name, or a function of the user's, `FILE.py:FUNCTION`, which TRL calls as it is.

    Raises UsageError for a name that is none, and where the file or the function is missing or fails to load.
    """
    if name in OURS:
        return _for_trl(name, OURS[name], most_tokens)
    if ".py:" not in name:
        raise unknown("reward", name, [*OURS, "FILE.py:FUNCTION"])
    path, _, function = name.rpartition(":")
    if not Path(path).is_file():
        raise UsageError(f"rewards: there is no file '{path}'")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"rewards: {path} cannot be loaded ({type(error).__name__}: {error})") from None
    found: Any = getattr(module, function, None)
    if not callable(found):
        raise UsageError(f"rewards: {path} has no function '{function}'")
    return found


def _for_trl(name: str, of_one: Callable[[Answered], float], most_tokens: int) -> Batch:
    def reward(
        prompts: list[str], completions: list[str], completion_ids: list[list[int]], language: list[str],
        kind: list[str], **_: Any
    ) -> list[float]:  # fmt: skip
        cut = [len(ids) >= most_tokens for ids in completion_ids]
        answered = zip(prompts, language, kind, completions, cut, strict=True)
        return [of_one(Answered(*one)) for one in answered]

    reward.__name__ = name  # what TRL logs it by
    return reward
