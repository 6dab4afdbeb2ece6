"""How well labels give a rate by now, and what more of them would buy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlc_bench.judges.labels.draw import Drawn, Key
from mlc_bench.judges.labels.file import key_of
from mlc_bench.stats import weighted

Row = dict[str, Any]


@dataclass(frozen=True)
class Precision:
    """`width`: of the 95 % interval of the corrected rate in a language, as a fraction; None: from under two labels."""

    language: str
    n: int
    width: float | None

    def after(self, more: int) -> float | None:
        """About how wide it is after so many more labels, as widths go with one over the root of their number."""
        return None if self.width is None else self.width * math.sqrt(self.n / (self.n + more))


def precision(drawn: Sequence[Drawn], rows: Sequence[Row], measures: Mapping[Key, str]) -> list[Precision]:
    """By language, over the answers of all runs and safety tasks there; of the others where there are none."""
    said = {key_of(row): row["refusal"] for row in rows if row["refusal"] is not None}
    found = []
    for code in sorted({one.key[2] for one in drawn}):
        own = [one for one in drawn if one.key[2] == code]
        own = [one for one in own if measures[one.key] == "safety"] or own
        total = sum({one.stratum: one.size for one in own}.values())
        labelled = [one for one in own if one.key in said]
        counts: dict[str, int] = {}
        for one in labelled:
            counts[one.stratum] = counts.get(one.stratum, 0) + 1
        holds = [float(said[one.key] in ("refuses", "deflects")) for one in labelled]
        estimate = weighted.difference(
            holds,
            [0.0] * len(holds),
            [one.size / counts[one.stratum] for one in labelled],
            [one.stratum for one in labelled],
            total,
            0.5,
        )
        width = estimate.high - estimate.low
        found.append(Precision(code, len(labelled), width if math.isfinite(width) else None))
    return found
