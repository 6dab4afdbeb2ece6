"""The answers in lm-eval's `samples_*.jsonl` (its option --log_samples), one document a line.

Its keys are those of `EvaluationTracker.save_results_samples` of lm-eval 0.4: `doc_id`, `doc`, `arguments`, `resps`.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlc_bench.catalog.reading.table import Row
from mlc_bench.core.errors import UsageError


def are_samples(rows: list[tuple[str, Row]]) -> bool:
    """Whether the rows of a file are lm-eval's."""
    return bool(rows) and {"doc_id", "doc", "resps", "arguments"} <= rows[0][1].keys()


def convert(path: Path, rows: Iterable[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """(place, row) of each answer, with `id`, `prompt`, `response`, and `language` where the document has one.

    The id is the document's `id`, else its number; the prompt is its `prompt`, else the request as it was sent, with
    whatever template was around it. Where a document was asked several times, `repeat` counts its answers. Rows that
    stand there once more for another filter are left out.

    Raises UsageError for documents that were not answered by a text (choices by their likelihood, say).
    """
    found = []
    wanted: Any = None
    for place, row in rows:
        wanted = row.get("filter") if wanted is None else wanted
        if row.get("filter") != wanted:
            continue
        doc = row["doc"] if isinstance(row.get("doc"), dict) else {}
        known: Row = {"id": doc.get("id", row.get("doc_id"))}
        known |= {"language": doc["language"]} if isinstance(doc.get("language"), str) else {}
        known["prompt"] = doc["prompt"] if isinstance(doc.get("prompt"), str) else _asked(row.get("arguments"))
        if known["prompt"] is None:
            raise UsageError(f"{path}, {place}: there is no text in 'arguments'; write the samples again")
        answers = _answers(path, place, row.get("resps"))
        for number, answer in enumerate(answers):
            found.append((place, known | {"response": answer} | ({"repeat": number} if len(answers) > 1 else {})))
    return found


def _asked(arguments: Any) -> str | None:
    """The text of the first request; of one that is a chat as JSON, what the user said last."""
    first = arguments.get("gen_args_0") if isinstance(arguments, dict) else None
    text = first.get("arg_0") if isinstance(first, dict) else None
    if not isinstance(text, str):
        return None
    if text.startswith("[{"):
        try:
            chat = json.loads(text)
        except (ValueError, RecursionError):
            return text
        said = [turn.get("content") for turn in chat if isinstance(turn, dict) and turn.get("role") == "user"]
        return said[-1] if said and isinstance(said[-1], str) else text
    return text


def _answers(path: Path, place: str, resps: Any) -> list[str]:
    answers = resps[0] if isinstance(resps, list) and len(resps) == 1 else None
    if not isinstance(answers, list) or not answers or not all(isinstance(one, str) for one in answers):
        raise UsageError(
            f"{path}, {place}: 'resps' holds no text that the model wrote (a task of choices has scores there); "
            "name the samples of a task that generates answers"
        )
    return answers
