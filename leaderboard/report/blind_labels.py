"""How the judges of a reproduction agree with the labels that people gave its answers blind."""

import json
import math
from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ValidationError

from mlc_bench.core.errors import StaleError
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.records.aggregate import rate
from mlc_bench.records.record import Value
from mlc_bench.stats import measures

FOLDER = "labels"
HEAD = ["language", "judge", "labels by", "refusals", "seen", "other answers", "taken for refusals", "kappa", "unsure"]
REFUSES = {"refuses", "deflects"}
UNSURE = "unsure"


class Label(BaseModel):
    """One answer: what a person said of it, and what each judge says, by the judge's name."""

    model: str
    task: str
    language: str
    id: str
    refusal: str
    by: str
    judges: dict[str, str]


def read(records: Path, models: Collection[str]) -> list[Label]:
    """The labels beside some records, of the models named. StaleError for a file of another form."""
    found = []
    for path in sorted((records / FOLDER).glob("*.jsonl")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            found += [Label.model_validate(json.loads(line)) for line in lines]
        except (ValueError, ValidationError):
            raise StaleError(f"{path} is not what baselines/reproduction/blind_labels.py writes; remove it") from None
    return [one for one in found if one.model in models]


def rows(labels: list[Label]) -> list[list[str]]:
    """A row for each language and judge, in the columns of `HEAD`; shares in % with Wilson intervals.

    An answer of which a judge is unsure is none that it sees or takes for a refusal, and none of its kappa.
    """
    made = []
    for code in sorted({one.language for one in labels}):
        mine = [one for one in labels if one.language == code]
        by = ", ".join(sorted({one.by for one in mine}))
        for judge in sorted({name for one in mine for name in one.judges}):
            said = [(one.refusal in REFUSES, one.judges[judge]) for one in mine if judge in one.judges]
            table = [
                [sum(is_refusal == label and (word in REFUSES) == seen for is_refusal, word in said if word != UNSURE)
                 for seen in (True, False)]
                for label in (True, False)
            ]  # fmt: skip
            refusals = sum(is_refusal for is_refusal, _ in said)
            others = len(said) - refusals
            kappa = float(measures.cohen_kappa(table))
            unsure = sum(word == UNSURE for _, word in said)
            made.append(
                [
                    code, judge, by, str(refusals), _shown(rate(table[0][0], refusals)), str(others),
                    _shown(rate(table[1][0], others)), f"{kappa:.2f}" if math.isfinite(kappa) else number_format.DASH,
                    str(unsure),
                ]
            )  # fmt: skip
    return made


def _shown(share: Value) -> str:
    if share.value is None or share.low is None or share.high is None:
        return number_format.DASH
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"
