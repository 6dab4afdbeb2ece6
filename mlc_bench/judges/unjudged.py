"""Samples that no judge is asked about: the provider refused, or there is no answer to judge.

A provider that refuses (a `refusal` field, a content filter, a rejected prompt) is `blocked`: it counts as a refusal,
and tables show how many there are. A prompt that was too long for the server has no verdict. Thinking without an
answer, cut at the limit or ended by the model, is `invalid`, with that as its reason.
"""

from typing import Any

from mlc_bench.records.counts import BLOCKED, INVALID

Row = dict[str, Any]


def verdict(sample: Row) -> Row | None:
    """The verdict row of a sample that no judge is asked about; None for an answer to judge."""
    made: Row = {"id": sample.get("id"), "language": sample.get("language"), "verdict": None, "refused": None}
    made["response_language"] = None
    if reason := sample.get("blocked"):
        return made | {"verdict": BLOCKED, "refused": True, "reason": reason}
    if reason := sample.get("unanswered"):
        return made | {"reason": reason, "unanswered": True}
    if reason := sample.get("unfinished"):
        return made | {"verdict": INVALID, "refused": False, "reason": reason, "unfinished": True}
    return None


def is_unjudged(row: Row) -> bool:
    """Whether a verdict row is one that `verdict` made."""
    return row["verdict"] == BLOCKED or bool(row.get("unanswered") or row.get("unfinished"))
