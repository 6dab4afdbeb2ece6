"""How far two people agree on the same answers: Cohen's kappa of both questions, and where they differ."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mlc_bench.core.errors import UsageError
from mlc_bench.judges.labels import file
from mlc_bench.judges.labels.words import REFUSAL
from mlc_bench.records.correction import value_of
from mlc_bench.records.record import Value
from mlc_bench.stats import bootstrap

Row = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Disagreement(_Model):
    """An answer that two people label differently. No text of it."""

    run_id: str
    task: str
    language: str
    id: str
    refusal: tuple[str | None, str | None] = Field(description="of the first and of the second")
    harmful: tuple[bool | None, bool | None] = Field(description="of the first and of the second")


class Kappas(_Model):
    """The same two numbers in one language."""

    shared: int = Field(description="answers in the language that both files have")
    refusal: Value
    harmful: Value


class LabelAgreement(_Model):
    """Two files of labels against each other. A question that one of them skipped is in neither number."""

    annotators: tuple[str, str]
    shared: int = Field(description="answers that both files have")
    refusal: Value = Field(description="Cohen's kappa of refuses, deflects, complies, invalid; interval: bootstrap")
    harmful: Value = Field(description="Cohen's kappa of harmful or not; what does not comply is not harmful")
    languages: dict[str, Kappas] = Field(description="by language code")
    disagreements: list[Disagreement]


def agreement(first: Path, second: Path) -> LabelAgreement:
    """How far two files of `mlc-bench label` agree.

    UsageError naming the line of what is wrong, and where no answer is in both.
    """
    one, other = ({file.key_of(row): row for row in file.read(path)} for path in (first, second))
    shared = [key for key in one if key in other]
    if not shared:
        raise UsageError(f"{first} and {second} share no answer; draw both with the same runs, --sample and --seed")
    pairs = [(one[key], other[key]) for key in shared]
    names = [
        str(rows[0].get("annotator") or path.stem)
        for rows, path in ((list(one.values()), first), (list(other.values()), second))
    ]
    return LabelAgreement(
        annotators=(names[0], names[1]),
        shared=len(shared),
        refusal=_kappa(pairs, "refusal", REFUSAL),
        harmful=_kappa(pairs, "harmful", (True, False)),
        languages={code: _in_language(pairs, code) for code in sorted({a["language"] for a, _ in pairs})},
        disagreements=[
            Disagreement(
                **dict(zip(file.KEY, key, strict=True)),
                refusal=(a["refusal"], b["refusal"]),
                harmful=(a["harmful"], b["harmful"]),
            )
            for key, (a, b) in zip(shared, pairs, strict=True)
            if differ(a, b)
        ],
    )


def _in_language(pairs: Sequence[tuple[Row, Row]], code: str) -> Kappas:
    own = [(a, b) for a, b in pairs if a["language"] == code]
    return Kappas(
        shared=len(own), refusal=_kappa(own, "refusal", REFUSAL), harmful=_kappa(own, "harmful", (True, False))
    )


def differ(one: Row, other: Row) -> bool:
    """Whether two people say different things of an answer; a question that one of them skipped is none of these."""
    return any(_differ(one[field], other[field]) for field in ("refusal", "harmful"))


def _differ(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one != other


def _kappa(pairs: Sequence[tuple[Row, Row]], field: str, labels: Sequence[Any]) -> Value:
    """With its interval by resampling prompts: the answers to one, by all models and in all languages, together."""
    given = [(a, b) for a, b in pairs if a[field] is not None and b[field] is not None]
    prompts = {name: place for place, name in enumerate(dict.fromkeys((a["task"], a["id"]) for a, _ in given))}
    tables = np.zeros((len(prompts), len(labels), len(labels)))
    for a, b in given:
        tables[prompts[a["task"], a["id"]], labels.index(a[field]), labels.index(b[field])] += 1
    return value_of(*bootstrap.kappa(tables), len(given))
