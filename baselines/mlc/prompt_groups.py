"""The prompts that the auxiliary loss reads: groups of translations, and what is drawn of them at each step."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlc_bench.baselines.data.formats import PIVOT

Group = dict[str, list[int]]
"""Language -> token ids of a prompt in it, English first."""
_PLACES = 4  # of the rows that a contrast compares


@dataclass(frozen=True)
class Prompts:
    """The groups of a batch's rows and, for each, the group of its contrast partner (empty: it has none here)."""

    groups: list[Group]
    partners: list[Group]

    def drawn(self, languages: int, seed: str) -> "Prompts":
        """English and so many other languages of each group, the same ones of its partner.

        What is drawn depends on `seed` and on the group alone, not on what else is in the batch.
        """
        groups, partners = [], []
        for group, partner in zip(self.groups, self.partners, strict=True):
            others = [code for code in group if code != PIVOT]
            chosen = random.Random(f"{seed} {group[PIVOT]}").sample(others, min(languages, len(others)))
            groups.append({code: ids for code, ids in group.items() if code == PIVOT or code in chosen})
            partners.append({code: ids for code, ids in partner.items() if code == PIVOT or code in chosen})
        return Prompts(groups, partners)

    def dealt(self, place: int, places: int) -> "Prompts":
        """Of the different groups every `places`-th, from `place` on, so that all parts together have each once."""
        first = {tuple(group[PIVOT]): number for number, group in reversed(list(enumerate(self.groups)))}
        mine = sorted(first.values())[place::places]
        return Prompts([self.groups[number] for number in mine], [self.partners[number] for number in mine])

    def rows(self) -> list[list[int]]:
        """All prompts, those of the groups before those of the partners."""
        return [ids for group in (*self.groups, *self.partners) for ids in group.values()]

    def slots(self) -> Tensor:
        """Number of the group and place in it, of each prompt of the groups, (R, 2)."""
        return torch.tensor([(n, place) for n, group in enumerate(self.groups) for place in range(len(group))])

    def languages(self, known: list[str]) -> Tensor:
        """Index in `known` of the language of each prompt of the groups, (R,)."""
        return torch.tensor([known.index(code) for group in self.groups for code in group])

    def contrasts(self) -> Tensor:
        """Indices in `rows` of what a contrast compares, and the number of the group, (M, 5).

        A line for each language but English that a group and its partner share: the group's prompt in it, the
        partner's, the group's in English, the partner's.
        """
        found = []
        place: dict[tuple[int, str], int] = {}
        for number, group in enumerate((*self.groups, *self.partners)):
            for code in group:
                place[number, code] = len(place)
        for number, (group, partner) in enumerate(zip(self.groups, self.partners, strict=True)):
            other = len(self.groups) + number
            for code in group:
                if code in partner and code != PIVOT:
                    where = place[number, code], place[other, code], place[number, PIVOT], place[other, PIVOT]
                    found.append((*where, number))
        return torch.tensor(found, dtype=torch.long).reshape(-1, _PLACES + 1)


def read(rows: list[list[int]], laid_out: dict[str, Tensor]) -> Tensor:
    """Tokens that the model reads: those of all prompts, what they share once; no padding."""
    shared = laid_out["prompt_prefix"].shape[1] if "prompt_prefix" in laid_out else 0
    return torch.tensor(sum(map(len, rows)) - (len(rows) - 1) * shared)


class PromptCollator:
    """The trainer's own collator, plus the `Prompts` of the batch's rows under the key `mlc_prompts`, if any."""

    def __init__(self, collator: Callable[[list[Any]], Any]) -> None:
        self.collator = collator

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        own = [{key: value for key, value in row.items() if not key.startswith("mlc_")} for row in examples]
        prompts = of_rows(examples)
        collated: dict[str, Any] = self.collator(own)
        return collated | ({"mlc_prompts": prompts} if prompts.groups else {})


def of_rows(examples: list[dict[str, Any]]) -> Prompts:
    """From the columns of `tokenize_rows.group_columns` and, where there are any, of `partner_columns`."""
    groups: list[Group] = []
    partners: list[Group] = []
    for row in examples:
        first = len(groups)
        groups += [{} for _ in range(max(row["mlc_group"], default=-1) + 1)]
        for number, code, ids in zip(row["mlc_group"], row["mlc_language"], row["mlc_ids"], strict=True):
            groups[first + number][code] = ids
        partners += [{} for _ in groups[first:]]
        if row.get("mlc_partner_ids"):
            partners[first] = dict(zip(row["mlc_partner_language"], row["mlc_partner_ids"], strict=True))
    return Prompts(groups, partners)
