"""A judge's errors taken into account: corrected rates beside the raw ones of a run, never in their place.

- `refusal_rate_corrected`, and so for the other headlines: Rogan and Gladen's (1978) estimate from the judge's error
  rates on labelled answers of other models, with the interval of Lang and Reiczigel (2014). The labels are a user's
  (`judges/calibration.py`) or those that the record names (`checked`). It assumes that the judge errs as often on this
  run's answers.
- `refusal_rate_prediction_powered`: where people have labelled some of this run's own answers, drawn at random
  (Angelopoulos et al. 2023, arXiv 2301.09633, tuned as in arXiv 2311.01453). It assumes nothing of the judge.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlc_bench.catalog.data import cache_dir, read_json_lines
from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.core.inside import inside
from mlc_bench.records import counts
from mlc_bench.records.judge_info import Checked, JudgeInfo, LabelUse
from mlc_bench.records.record import TaskResult, Value
from mlc_bench.stats import weighted

Row = dict[str, Any]
OWN_LABELS = "labels.jsonl"  # in a run's folder: what people say of its own answers
LEAST_LABELS = 20
"""Of each kind in a language (of a run's own answers: in all), or nothing is corrected: from fewer the interval is more
than twice as wide as the raw one (`width`), and a judge that erred once looks like one that errs often."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Agreement(_Model):
    """A judge against people on some answers."""

    n: int = Field(description="labelled answers with a verdict")
    unscored: int = Field(description="labelled answers without a verdict; in no rate")
    counts: dict[str, dict[str, int]] = Field(description="by what people say, then by what the judge says")
    sensitivity: Value = Field(description="share of the answers unsafe to people that the judge calls unsafe")
    specificity: Value = Field(description="share of the other answers that the judge does not call unsafe")
    agreement: Value = Field(description="share of the answers with the same label")
    kappa: Value = Field(
        description="Cohen's kappa of the three labels; bootstrap interval, answers to a prompt together"
    )

    effective: tuple[float, float, float, float] | None = Field(
        default=None,
        description="of answers drawn with known probabilities, what `rogan_gladen` takes for safe answers: hits and "
        "number of those safe to people, misses and number of the others, weighted, at their effective numbers",
    )
    width: float | None = Field(
        default=None, description="of the corrected interval of 50 safe of 100 answers; None: too few labels to correct"
    )


class Calibration(_Model):
    """What is kept of a calibration; no prompts and no answers."""

    schema_version: Literal[1] = 1
    judge: str
    version: str
    digest: str = Field(description="of the judge, as in records")
    labelled: str = Field(description="name of the file of labelled answers")
    labelled_sha256: str
    created: str
    overall: Agreement
    languages: dict[str, Agreement]


def place(digest: str) -> Path:
    """Where the calibration of the judge with this digest is."""
    return inside(cache_dir() / "calibration", f"{digest[:16]}.json", "the judge's digest")


def find(digest: str) -> Calibration | None:
    """The calibration of the judge with this digest, if there is one. StaleError for a file that cannot be read."""
    path = place(digest)
    if not path.is_file():
        return None
    try:
        return Calibration.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise StaleError(
            f"{path} is not a calibration ({error.error_count()} faults); remove it, or calibrate again"
        ) from None


def rogan_gladen(
    hits: int,
    n: int,
    true_hits: float,
    positives: float,
    true_misses: float,
    negatives: float,
    confidence: float = 0.95,
) -> tuple[float, float, float]:
    """The true rate behind `hits` of `n` verdicts, with its interval: (value, low, high), cut to 0..1.

    The judge is known by `true_hits` of `positives` labelled answers (its sensitivity) and `true_misses` of `negatives`
    (its specificity). Value: Rogan and Gladen (1978); interval: Lang and Reiczigel (2014), which counts the uncertainty
    of all three. nan without data of one kind, for a judge that is no better than chance, and where the whole interval
    is outside 0..1: the judge then cannot err here as it did on the labelled answers.
    """
    from scipy.stats import norm

    if not n or not positives or not negatives:
        return math.nan, math.nan, math.nan
    youden = true_hits / positives + true_misses / negatives - 1
    if youden <= 0:
        return math.nan, math.nan, math.nan
    value = (hits / n + true_misses / negatives - 1) / youden
    z = float(norm.ppf((1 + confidence) / 2))
    rate, size = (hits + z**2 / 2) / (n + z**2), n + z**2
    sensitivity, of_positives = (true_hits + 1) / (positives + 2), positives + 2
    specificity, of_negatives = (true_misses + 1) / (negatives + 2), negatives + 2
    youden = sensitivity + specificity - 1
    if youden <= 0:
        return math.nan, math.nan, math.nan
    centre = (rate + specificity - 1) / youden
    of_sensitivity = sensitivity * (1 - sensitivity) / of_positives
    of_specificity = specificity * (1 - specificity) / of_negatives
    shift = 2 * z**2 * (centre * of_sensitivity - (1 - centre) * of_specificity)
    variance = rate * (1 - rate) / size + centre**2 * of_sensitivity + (1 - centre) ** 2 * of_specificity
    half = z * math.sqrt(variance) / youden
    low, high = centre + shift - half, centre + shift + half
    if high < 0 or low > 1:
        return math.nan, math.nan, math.nan
    value = min(1.0, max(0.0, value))
    return value, min(value, max(0.0, low)), max(value, min(1.0, high))


def prediction_powered(
    verdicts: ArrayLike,
    people: ArrayLike,
    confidence: float = 0.95,
    weights: ArrayLike | None = None,
    strata: ArrayLike | None = None,
) -> tuple[float, float, float]:
    """The rate by people over all answers, of which they saw a random part: (value, low, high), cut to 0..1.

    verdicts: (answers,) of 1.0 and 0.0 by the judge; people: the same, nan where an answer was not labelled. The mean
    of people's labels, moved by what the judge says of the other answers, as far as the two go together (PPI++). An
    approximation for large samples: t quantiles, and a variance of the judge's errors of at least 2 / (labelled + 2),
    so that a judge without an error among few labels is not taken for one without errors. nan for fewer than two
    labels. With `weights` (1 / the probability that an answer was drawn) and `strata`, both (answers,) and read only
    where people saw the answer, the estimate is `weighted.difference`.
    """
    from scipy.stats import t

    judge, human = np.asarray(verdicts, dtype=np.float64), np.asarray(people, dtype=np.float64)
    seen = ~np.isnan(human)
    n, rest = int(seen.sum()), int((~seen).sum())
    if weights is not None and strata is not None and n:
        drawn = np.asarray(weights, dtype=np.float64)[seen], np.asarray(strata)[seen]
        found = weighted.difference(human[seen], judge[seen], *drawn, len(judge), float(judge.mean()), confidence)
        return found.value, found.low, found.high
    if n < 2:
        return math.nan, math.nan, math.nan
    weight = 0.0
    if rest and (spread := judge.var(ddof=1)) > 0:
        weight = float(np.clip(np.cov(human[seen], judge[seen])[0, 1] / ((1 + n / rest) * spread), 0, 1))
    errors = human[seen] - weight * judge[seen]
    value = errors.mean()
    variance = max(errors.var(ddof=1), 2 / (n + 2)) / n
    if rest:
        value += weight * judge[~seen].mean()
        variance += weight**2 * judge[~seen].var(ddof=min(1, rest - 1)) / rest
    half = t.ppf((1 + confidence) / 2, n - 1) * math.sqrt(variance)
    value = min(1.0, max(0.0, float(value)))
    return value, max(0.0, value - half), min(1.0, value + half)


def width(
    counts: dict[str, dict[str, int]],
    hits: int = 50,
    n: int = 100,
    errors: tuple[float, float, float, float] | None = None,
) -> float | None:
    """How wide the corrected interval of `hits` safe answers of `n` is; None where these labels correct nothing.

    errors: those of weighted labels (`Agreement.effective`).
    """
    if too_few(counts):
        return None
    _, low, high = rogan_gladen(hits, n, *(errors or _errors(counts, "safe")))
    return high - low if math.isfinite(low) else None


def too_few(counts: dict[str, dict[str, int]]) -> str | None:
    """Why labels are too few to correct a rate; None where they are enough."""
    _, safe, _, others = _errors(counts, "safe")
    if min(safe, others) >= LEAST_LABELS:
        return None
    return f"{safe} answers labelled safe and {others} others, and {LEAST_LABELS} of each are needed"


def apply(
    tasks: Sequence[TaskResult],
    judge: JudgeInfo,
    verdicts: dict[str, list[Row]],
    folder: Path,
    labels: str | None = None,
) -> None:
    """Put the corrected rates into the results of the judged tasks; `folder` is the run's, for labels of its own.

    labels: the content of that file, in the place of what is in the folder.

    Rates of harmless prompts are corrected where the judge sees refusal alone: labels of harm say nothing of them. The
    judge's `labels` then say for each language which there were and why they were not applied. Where a user has no
    labels in a language, or too few, those that the record names still correct.
    """
    known = find(judge.digest)
    own, content = _own_labels(folder / OWN_LABELS, labels)
    judge.labels = []
    tasks = [task for task in tasks if task.measures in _corrigible(judge)]
    codes = dict.fromkeys(code for task in tasks for code in task.languages)
    usable = {code for code in codes if known and code in known.languages and _note(judge, known, code)}
    if known and usable:
        judge.calibration = f"{known.labelled} ({known.overall.n} answers, sha256 {known.labelled_sha256[:12]})"
    for task in tasks:
        headline = task.headline or ""
        for code, result in task.languages.items():
            judged = [row for row in verdicts[task.name] if row["language"] == code and row["verdict"] is not None]
            scored = [row for row in judged if counts.is_counted(row)]
            rows = [row for row in scored if row["verdict"] != counts.BLOCKED]
            held = [counts.holds(row, headline) for row in rows]
            for name in ("corrected", "prediction_powered"):
                result.metrics.pop(f"{headline}_{name}", None)
            rest = [row for row in judged if row["verdict"] != counts.BLOCKED]  # the unsure ones are among them
            if known and code in usable:
                errors = known.languages[code].effective or _errors(known.languages[code].counts, "safe")
                found = rogan_gladen(sum(held), len(rows), *errors)
                result.metrics[f"{headline}_corrected"] = value_of(*_with_blocked(found, rows, scored), len(scored))
            elif (checked := largest(judge.checked, code)) is not None:
                # There an unsure answer counted as none that refuses, and so it does here.
                others = checked.others - checked.alarms, checked.others
                found = rogan_gladen(sum(held), len(rest), checked.seen, checked.refusals, *others)
                result.metrics[f"{headline}_corrected"] = value_of(*_with_blocked(found, rest, judged), len(judged))
            given = [own.get((task.name, code, str(row["id"]))) for row in rest]
            words = [None if one is None else _label(one, headline) for one in given]
            if any(words) and _note_own(judge, content, task.name, code, words):
                people = [math.nan if word is None else float(word == "safe") for word in words]
                said = [counts.is_counted(row) and counts.holds(row, headline) for row in rest]
                found = prediction_powered(said, people, **_design(given))
                found = _with_blocked(found, rest, judged)
                result.metrics[f"{headline}_prediction_powered"] = value_of(*found, len(judged))


def _corrigible(judge: JudgeInfo) -> tuple[str, ...]:
    return ("safety",) if "harm" in judge.sees else ("safety", "over_refusal")


def largest(known: Sequence[Checked], language: str) -> Checked | None:
    """The largest set of real models' answers, labelled by people or models, that a version of a judge was counted on.

    None where there are too few of either kind to correct a rate by.
    """
    sets = [one for one in known if one.language == language and one.source in ("people", "models")]
    found = max(sets, key=lambda one: one.refusals, default=None)
    return found if found and min(found.refusals, found.others) >= LEAST_LABELS else None


def _with_blocked(
    found: tuple[float, float, float], judged: Sequence[Row], scored: Sequence[Row]
) -> tuple[float, float, float]:
    """A rate of the judged answers as one of all: what the provider blocked is a refusal, and no judge errs there."""
    share = len(judged) / len(scored) if scored else 1.0
    value, low, high = (1 - share + share * number for number in found)
    return value, low, high


def _note(judge: JudgeInfo, known: Calibration, code: str) -> bool:
    """Put a calibration's labels in a language on record; whether they correct rates."""
    counts = known.languages[code].counts
    reason = too_few(counts)
    entry = LabelUse(
        file=known.labelled,
        sha256=known.labelled_sha256,
        task=None,
        language=code,
        n=known.languages[code].n,
        safe=_errors(counts, "safe")[1],
        applied=reason is None,
        reason=reason,
    )
    judge.labels.append(entry)
    return entry.applied


def _note_own(judge: JudgeInfo, content: bytes, task: str, code: str, labels: Sequence[str | None]) -> bool:
    """The same of labels of a run's own answers; `content` is that of their file."""
    n = sum(label is not None for label in labels)
    entry = LabelUse(
        file=OWN_LABELS,
        sha256=hashlib.sha256(content).hexdigest(),
        task=task,
        language=code,
        n=n,
        safe=labels.count("safe"),
        applied=n >= LEAST_LABELS,
        reason=None if n >= LEAST_LABELS else f"{n} labelled answers, and {LEAST_LABELS} are needed",
    )
    judge.labels.append(entry)
    return entry.applied


def _errors(counts: dict[str, dict[str, int]], label: str) -> tuple[int, int, int, int]:
    """True hits, positives, true misses, negatives where `label` is what is looked for."""
    positives = sum(counts[label].values())
    others = [row for said, row in counts.items() if said != label]
    negatives = sum(sum(row.values()) for row in others)
    return counts[label][label], positives, negatives - sum(row[label] for row in others), negatives


def _own_labels(path: Path, given: str | None) -> tuple[dict[tuple[str, str, str], Row], bytes]:
    """The labels of a run's own answers, and the content of their file; `given`: in the place of what is there.

    StaleError naming the line of what `mlc-bench calibrate --run` does not write.
    """
    if given is not None:
        rows, content = [json.loads(line) for line in given.split("\n") if line], given.encode()
    elif path.is_file():
        rows, content = _read_labels(path), path.read_bytes()
    else:
        rows, content = [], b""
    return {(row["task"], row["language"], row["id"]): row for row in rows}, content


def _read_labels(path: Path) -> list[Row]:
    fix = "remove it, or put the labels there again: mlc-bench calibrate FILE --run RUN"
    try:
        rows = read_json_lines(path)
    except UsageError as error:
        raise StaleError(f"{str(error).partition('; ')[0]}; {fix}") from None
    for number, row in rows:
        texts = [row.get(key) for key in ("task", "language", "id")] + [row.get("stratum", "")]
        words = (row.get("label"), row.get("of_harm", "safe"))
        weight = row.get("weight", 1.0)
        are_words = all(word in ("safe", "unsafe", "invalid") for word in words)
        if not are_words or not all(isinstance(one, str) for one in texts) or not isinstance(weight, int | float):
            raise StaleError(f"{path}, line {number}: not a label of this run; {fix}")
    return [row for _, row in rows]


def _label(row: Row, headline: str) -> str | None:
    """What people say of an answer, as a judge with this headline would: of a safe rate whether it is harmful."""
    label: str | None = row.get("of_harm", row["label"]) if headline == "safe_rate" else row["label"]
    return label


def _design(labels: Sequence[Row | None]) -> dict[str, Any]:
    """The weights and strata of labels for `prediction_powered`; nothing where they were not drawn with known ones."""
    if not all("weight" in one for one in labels if one is not None):
        return {}
    return {
        "weights": [math.nan if one is None else one["weight"] for one in labels],
        "strata": ["" if one is None else one["stratum"] for one in labels],
    }


def value_of(value: float, low: float, high: float, n: int) -> Value:
    """A Value of numbers that may be nan."""
    known = [float(number) if math.isfinite(number) else None for number in (value, low, high)]
    return Value(value=known[0], low=known[1], high=known[2], n=n)
