"""How well the embedded judges of refusal agree with labels, by language: `agreement.json`, counted once a version.

`python benchmarks/judges/refusals.py --write` makes the file anew. What reads it: `mlc-bench judges agreement`, and the
pages of the documents. Refusing and deflecting answers are refusals; an answer without a verdict counts as none.
"""

import json
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from mlc_bench.records.aggregate import rate
from mlc_bench.records.judge_info import Checked
from mlc_bench.records.record import Value
from mlc_bench.stats import measures

FILE = Path(__file__).resolve().parent / "agreement.json"
REFUSALS = {"refuses", "deflects"}
"""Labels of answers that count as refusals."""


class Counts(Checked):
    """What a judge said of the labelled answers of one language in one set, with shares."""

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
        """Cohen's kappa with its interval (`measures.cohen_kappa_interval`); None where all labels are of one kind."""
        table = [[self.seen, self.refusals - self.seen], [self.alarms, self.others - self.alarms]]
        n = self.refusals + self.others
        value = float(measures.cohen_kappa(table))
        if not self.refusals or not self.others or not math.isfinite(value):
            return Value(value=None, low=None, high=None, n=n)
        low, high = measures.cohen_kappa_interval(table, n)
        return Value(value=value, low=low, high=high, n=n)


def counted(judge: str, version: str, judged: list[dict[str, Any]]) -> list[Counts]:
    """The counts of each language in each set.

    A row has `set`, `tag` (its language), `label`, `source` (whose label it is), `seen` (whether the judge says that
    the answer refuses) and `unsure`.
    """
    made = []
    for where in dict.fromkeys((row["set"], row["tag"]) for row in judged):
        own = [row for row in judged if (row["set"], row["tag"]) == where]
        refusals = [row["seen"] for row in own if row["label"] in REFUSALS]
        others = [row["seen"] for row in own if row["label"] not in REFUSALS]
        made.append(
            Counts(
                judge=judge, version=version, language=where[1], labels=where[0], source=own[0]["source"],
                refusals=len(refusals), seen=sum(refusals), others=len(others), alarms=sum(others),
                unsure=sum(row["unsure"] for row in own),
            )
        )  # fmt: skip
    return made


@cache
def known() -> tuple[Counts, ...]:
    """All counts in the file."""
    return tuple(Counts.model_validate(row) for row in json.loads(FILE.read_text(encoding="utf-8")))


def of(judge: str, version: str, languages: Iterable[str]) -> list[Checked]:
    """What is known of a version of a judge in these languages, in whatever script: for the record of a run."""
    codes = set(languages)
    found = [row for row in known() if (row.judge, row.version) == (judge, version)]
    return [Checked(**row.model_dump()) for row in found if row.language in codes]


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
