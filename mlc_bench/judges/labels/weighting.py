"""What a judge's errors are worth where the labelled answers were drawn with known probabilities."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlc_bench.core.errors import UsageError
from mlc_bench.judges.labels.file import check_design
from mlc_bench.records import correction
from mlc_bench.records.correction import Agreement, value_of
from mlc_bench.records.record import Value
from mlc_bench.stats import bootstrap, weighted
from mlc_bench.stats.measures import Array
from mlc_bench.stats.weighted import Estimate

Row = dict[str, Any]


def design(rows: Sequence[tuple[str, Row]], path: Path) -> tuple[Array, list[str]] | None:
    """The weight of each labelled row and its stratum, from (where, row); None where nothing was drawn.

    A weight is 1 / the probability that the answer was drawn. Where some of a stratum's drawn answers have no label,
    the others stand for them: weights add up to the size of the stratum. UsageError naming the row of what is wrong.
    """
    known = [row.get("drawn") is not None for _, row in rows]
    if not any(known):
        return None
    if not all(known):
        raise UsageError(f"{rows[known.index(False)][0]}: 'drawn' is missing, which other rows of {path} have; add it")
    strata = [str(row.get("stratum", "")) for _, row in rows]
    weights = np.empty(len(rows))
    for place, (where, row) in enumerate(rows):
        probability, size = check_design(row, where)
        weights[place] = size / strata.count(strata[place]) if size else 1 / probability
    return weights, strata


def weigh(
    found: Agreement,
    labels: Sequence[str],
    verdicts: Sequence[str | None],
    ids: Sequence[str],
    weights: Sequence[float],
    strata: Sequence[str],
) -> Agreement:
    """An agreement as it is over all answers, not over those that were drawn; `n` and `counts` stay as they are.

    Arguments as those of `calibration.measure`, and `design`'s.
    """
    scored = [index for index, verdict in enumerate(verdicts) if verdict is not None]
    people, judge = (np.array([str(of[index]) for index in scored]) for of in (labels, verdicts))
    weight, stratum = np.array([weights[i] for i in scored]), [strata[i] for i in scored]

    def of_label(label: str) -> tuple[Estimate, Estimate]:
        """Sensitivity and specificity where the label is what is looked for."""
        sensitivity = weighted.ratio(judge == label, people == label, weight, stratum)
        return sensitivity, weighted.ratio(judge != label, people != label, weight, stratum)

    sensitivity, specificity = of_label("unsafe")
    safe, others = of_label("safe")
    errors = (safe.value * safe.effective, safe.effective, others.value * others.effective, others.effective)
    is_known = bool(safe.effective and others.effective)
    known = list(found.counts)
    prompts = np.array([ids[i] for i in scored])
    tables = [
        _table(people[at], judge[at], weight[at], known) for at in (prompts == one for one in dict.fromkeys(prompts))
    ]
    update = {
        "sensitivity": _value(sensitivity, people == "unsafe"),
        "specificity": _value(specificity, people != "unsafe"),
        "agreement": _value(weighted.share(people == judge, weight, stratum), people == people),
        "kappa": value_of(*bootstrap.kappa(np.array(tables)), len(scored)),
        "effective": errors if is_known else None,
        "width": correction.width(found.counts, errors=errors) if is_known else None,
    }
    return found.model_copy(update=update)


def _value(estimate: Estimate, cases: Any) -> Value:
    return value_of(estimate.value, estimate.low, estimate.high, int(np.sum(cases)))


def _table(people: Any, judge: Any, weights: Array, labels: Sequence[str]) -> Array:
    return np.array([[weights[(people == one) & (judge == other)].sum() for other in labels] for one in labels])
