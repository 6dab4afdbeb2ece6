"""Rows as token ids, the same for every method: the model's chat template, a prompt never cut."""

from collections.abc import Iterable
from typing import Any, NotRequired, TypedDict

from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.core.errors import UsageError
from mlc_bench.engines.settings import template as templates

_DATE = templates.dated(None, None)  # a template that prints a date prints the same one in training and in runs


class Example(TypedDict):
    """What a method trains on: one prompt with its responses, and the row whose translations go with it under MLC."""

    prompt: str
    chosen: str
    rejected: NotRequired[str | None]
    row: NotRequired[Row]


def english(rows: Iterable[Row]) -> list[Example]:
    """Each row's English prompt and responses."""
    return [
        Example(prompt=row["prompts"][PIVOT], chosen=row["chosen"] or "", rejected=row["rejected"], row=row)
        for row in rows
    ]


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """A user's turn in the chat template, up to where the model's answer begins."""
    turns = [{"role": "user", "content": prompt}]
    return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False, **_DATE))


def response_ids(tokenizer: Any, prompt: str, response: str, start: list[int], cutoff: int) -> list[int]:
    """The tokens after `start` (the prompt's) of a whole exchange, so many that both together fit into `cutoff`.

    Raises UsageError where the chat template writes the prompt of a whole exchange otherwise than the prompt alone.
    """
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    whole = list(tokenizer.apply_chat_template(turns, return_dict=False, **_DATE))
    if whole[: len(start)] != start:
        raise UsageError(
            "the chat template writes a prompt differently once an answer follows, so what is trained would "
            "differ from what is asked; use a template without reasoning blocks"
        )
    return whole[len(start) : cutoff]


def examples(tokenizer: Any, given: Iterable[Example], cutoff: int) -> list[dict[str, list[int]]]:
    """`prompt_ids`, `chosen_ids` and, where there is a rejected response, `rejected_ids` of each example."""
    encoded = []
    for example in given:
        start = prompt_ids(tokenizer, example["prompt"])
        ids = {"prompt_ids": start}
        for part in ("chosen", "rejected"):
            if (response := example.get(part)) is not None:
                ids[f"{part}_ids"] = response_ids(tokenizer, example["prompt"], str(response), start, cutoff)
        encoded.append(ids)
    return encoded


def reaching(encoded: list[dict[str, list[int]]], cutoff: int) -> int:
    """How many responses of `examples` are as long as the cut-off lets them be, and so may have been cut."""
    responses = [
        (ids["prompt_ids"], ids[part]) for ids in encoded for part in ("chosen_ids", "rejected_ids") if part in ids
    ]
    return sum(len(start) + len(answer) >= cutoff for start, answer in responses)
