"""Which prompts the auxiliary loss reads with each training example, as columns of token ids beside its own."""

import random
from collections.abc import Iterable, Iterator
from typing import Any

from mlc_bench.baselines.config import MLC
from mlc_bench.baselines.data.formats import PIVOT, Row
from mlc_bench.baselines.data.tokenize_rows import prompt_ids
from mlc_bench.core.errors import UsageError


def require(rows: list[Row], besides: list[Row], settings: MLC) -> None:
    """Check that the rows have what the objective compares. Raises UsageError."""
    if {code for row in (*rows, *besides) for code in row["prompts"]} <= {PIVOT}:
        raise UsageError(
            f"MLC compares a prompt with its translations, and the data has prompts in '{PIVOT}' only; add "
            "translations, or train without --mlc"
        )
    if settings.objective == "contrast" and settings.contrast and not any("partner" in row for row in rows):
        raise UsageError(
            "mlc.objective contrast compares contrast pairs, and no row of the data names its 'partner'; add it, or "
            "choose another objective"
        )


def of_examples(
    tokenizer: Any, rows: Iterable[Row | None], partners: dict[str, Row], besides: list[Row], settings: MLC, seed: int
) -> Iterator[dict[str, Any]]:
    """The columns of each example, made from `rows`: its training row, or None where it brings no prompts of its own.

    `partners`: the rows that a contrast may hold it against, by id. `besides`: rows whose prompts form groups beside
    those of the training rows, in an order that `seed` decides.
    """
    order = random.Random(seed).sample(besides, len(besides))
    for number, row in enumerate(rows):
        own = row if row is not None and settings.kinds in ("all", row["kind"]) else None
        groups = [] if own is None else [own]
        if order:
            groups.append(order[number % len(order)])
        columns = _groups(tokenizer, groups)
        if settings.objective == "contrast" and settings.contrast:
            columns |= _partner(tokenizer, own, partners)
        yield columns


def _groups(tokenizer: Any, groups: list[Row]) -> dict[str, list[Any]]:
    """The prompts of some rows: token ids, number of the group, language; English first in each group."""
    columns: dict[str, list[Any]] = {"mlc_ids": [], "mlc_group": [], "mlc_language": []}
    for number, row in enumerate(groups):
        for code in sorted(row["prompts"], key=lambda code: (code != PIVOT, code)):
            columns["mlc_ids"].append(prompt_ids(tokenizer, row["prompts"][code]))
            columns["mlc_group"].append(number)
            columns["mlc_language"].append(code)
    return columns


def _partner(tokenizer: Any, row: Row | None, partners: dict[str, Row]) -> dict[str, list[Any]]:
    """The prompts of a row's contrast partner in the row's languages; none where it has no partner here."""
    partner = partners.get(row.get("partner", "")) if row else None
    codes = [code for code in (row["prompts"] if row else ()) if partner and code in partner["prompts"]]
    ids = [prompt_ids(tokenizer, partner["prompts"][code]) for code in codes] if partner else []
    return {"mlc_partner_ids": ids, "mlc_partner_language": codes}
