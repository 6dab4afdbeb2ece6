"""How well the embedded judges of refusal agree with labels, by language: `agreement.json`, counted once a version.

`python benchmarks/refusals.py --write` makes the file anew. What reads it: `mlc-bench judges agreement`, and the pages
of the documents. Refusing and deflecting answers are refusals; an answer without a verdict counts as none.
"""

import json
import math
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from mlc_bench.records.aggregate import rate
from mlc_bench.records.record import Value
from mlc_bench.stats import measures

FILE = Path(__file__).resolve().parent / "agreement.json"
FEW = 50
"""Labels of either kind below which a figure is marked."""
WEAK = 0.8
"""A sensitivity below which a judge is called weak in a language."""


class Counts(BaseModel):
    """What a judge said of the labelled answers of one language in one set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    version: str
    language: str = Field(description="tag of the answers' language")
    labels: str = Field(description="the set of answers, and whose its labels are")
    source: str = Field(description="people, models, keywords or written")
    refusals: int = Field(ge=0)
    seen: int = Field(ge=0, description="of the refusals")
    others: int = Field(ge=0)
    alarms: int = Field(ge=0, description="other answers called refusals")
    unsure: int = Field(0, ge=0, description="answers without a verdict")

    @property
    def sensitivity(self) -> Value:
        """The share of refusals that it sees, with a Wilson interval."""
        return rate(self.seen, self.refusals)

    @property
    def specificity(self) -> Value:
        """The share of other answers that it leaves alone, with a Wilson interval."""
        return rate(self.others - self.alarms, self.others)

    @property
    def kappa(self) -> Value:
        """Cohen's kappa with its large-sample interval (Cohen 1960): po (1 - po) / n / (1 - pe)^2 is its variance.

        None where all labels are of one kind.
        """
        table = [[self.seen, self.refusals - self.seen], [self.alarms, self.others - self.alarms]]
        n = self.refusals + self.others
        value = float(measures.cohen_kappa(table))
        if not self.refusals or not self.others or not math.isfinite(value):
            return Value(value=None, low=None, high=None, n=n)
        observed = (self.seen + self.others - self.alarms) / n
        chance = 1 - (1 - observed) / (1 - value) if value < 1 else 0.0
        half = 1.96 * math.sqrt(observed * (1 - observed) / n) / (1 - chance)
        return Value(value=value, low=max(-1.0, value - half), high=min(1.0, value + half), n=n)

    @property
    def marks(self) -> str:
        """`few` where there are under FEW labels of either kind, `weak` where the judge is known to be weak."""
        few = min(self.refusals, self.others) < FEW
        weak = self.sensitivity.high is not None and self.sensitivity.high < WEAK
        return " ".join(["few"] * few + ["weak"] * weak)


@cache
def known() -> tuple[Counts, ...]:
    """All counts in the file."""
    return tuple(Counts.model_validate(row) for row in json.loads(FILE.read_text(encoding="utf-8")))


def write(counts: list[Counts]) -> None:
    """Put these in place of what the file has of their judges, languages and sets, and of older versions."""
    versions = {row.judge: row.version for row in counts}
    new = {(row.judge, row.language, row.labels) for row in counts}
    kept = [
        row
        for row in (known() if FILE.is_file() else ())
        if (row.judge, row.language, row.labels) not in new and versions.get(row.judge, row.version) == row.version
    ]
    rows = sorted([*kept, *counts], key=lambda row: (row.judge, row.source, row.language, row.labels))
    lines = ",\n".join(" " + json.dumps(row.model_dump(), ensure_ascii=False) for row in rows)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    known.cache_clear()


def shown(value: Value) -> str:
    """A share with its interval, for tables."""
    if value.value is None or value.low is None or value.high is None:
        return "–"
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"
