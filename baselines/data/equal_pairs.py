"""Pairs whose two responses are the same: they say nothing about which to prefer, and are left out and counted."""

from itertools import takewhile
from typing import Any

from mlc_bench.baselines.data import tokenize_rows
from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.training_data import TrainingData
from mlc_bench.core.errors import UsageError

_ROWS = "chosen equals rejected"
_RESPONSES = "chosen equals rejected in another language"
_MOST_TOKENS = 4  # of a character: no more than its bytes


def left_out(data: TrainingData, needs: dict[str, bool], tokenizer: Any, cutoff: int) -> TrainingData:
    """The data without equal pairs, for a method that `needs` pairs; for any other, the data as it is.

    Equal are responses of the same text, and those of which the same `cutoff` tokens are left (without a tokenizer the
    latter is not looked at). A row goes where its English pair is equal; of other rows, the responses of a language.
    Raises UsageError where nothing is left.
    """
    if not needs.get("rejected"):
        return data
    kept: list[Row] = []
    responses = 0
    for row in data.rows:
        if _equal(row, PIVOT, row["chosen"], row["rejected"], tokenizer, cutoff):
            continue
        if needs.get("responses") and row["responses"]:
            same = {
                code
                for code, pair in row["responses"].items()
                if _equal(row, code, pair["chosen"], pair["rejected"], tokenizer, cutoff)
            }
            responses += len(same)
            row = row.copy()
            row["responses"] = {code: pair for code, pair in (row["responses"] or {}).items() if code not in same}
        kept.append(row)
    if not kept:
        raise UsageError("in every row 'chosen' and 'rejected' are the same, so there is nothing to prefer")
    if needs.get("responses") and responses and not any(row["responses"] for row in kept):
        raise UsageError("in every language 'chosen' and 'rejected' are the same, so there is nothing to prefer")
    return data.without(_ROWS, kept).without(_RESPONSES, kept, responses)


def count(data: TrainingData) -> str:
    """How many were left out, in words; empty where none was."""
    found = [f"{data.dropped[reason]} ({reason})" for reason in (_ROWS, _RESPONSES) if data.dropped.get(reason)]
    return f"pairs left out: {', '.join(found)}" if found else ""


def _equal(row: Row, code: str, chosen: str | None, rejected: str | None, tokenizer: Any, cutoff: int) -> bool:
    if chosen is None or rejected is None:
        return False
    if chosen == rejected:
        return True
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(chosen, rejected, strict=False)))
    if tokenizer is None or not common:
        return False
    start = tokenize_rows.prompt_ids(tokenizer, row["prompts"][code])
    if _MOST_TOKENS * common < cutoff - len(start):
        return False  # what they share does not reach the cut-off
    cut = [
        tokenize_rows.response_ids(tokenizer, row["prompts"][code], text, start, cutoff) for text in (chosen, rejected)
    ]
    return cut[0] == cut[1]
