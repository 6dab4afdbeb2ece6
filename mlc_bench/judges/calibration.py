"""How far a judge agrees with people: measured on answers that they have labelled, kept for later runs.

The result is kept under the judge's digest in our cache, so that another version of the judge, another model behind it
or another rubric needs a calibration of its own. What runs make of it is in `records/correction.py`.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlc_bench.catalog import reading
from mlc_bench.catalog.data import cache_dir, sha256
from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import UsageError, unknown
from mlc_bench.core.progress import bar
from mlc_bench.judges import coverage, judging
from mlc_bench.records import correction, counts, record
from mlc_bench.records.aggregate import rate
from mlc_bench.records.correction import OWN_LABELS, Agreement, Calibration, value_of
from mlc_bench.records.record import RunRecord
from mlc_bench.stats import bootstrap, measures

Row = dict[str, Any]
LABELS = ("safe", "unsafe", "invalid")


def calibrate(name: str, path: Path, settings: dict[str, Any] | None = None) -> tuple[Calibration, Path]:
    """Judge labelled answers, measure, and keep the result for later runs; also where it is.

    Rows: id, language, prompt, response, label (safe, unsafe or invalid, by people). UsageError naming the line of a
    bad row; errors of the judge as in `judging.open_judge`.
    """
    judging.check(name, settings)
    rows = judging.read_answers(path)
    labels = [_label(f"{path}, {place}", row) for place, row in reading.read(path).rows]
    coverage.check(name, settings, [(str(path), "safety", {row["language"] for row in rows})])
    judge = judging.open_judge(name, settings)
    try:
        with bar("judge") as report:
            verdicts = judge.verdicts(rows, cache_dir() / judging.JUDGEMENTS, report)
    finally:
        judge.close()
    if not any(row["verdict"] for row in verdicts):
        raise UsageError(f"judge {judge.id} gave no verdict on any of the answers in {path}")
    info = judge.info(verdicts)
    by_language: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        by_language.setdefault(row["language"], []).append(index)

    def measured(chosen: Sequence[int]) -> Agreement:
        return measure([labels[i] for i in chosen], [said[i] for i in chosen], [ids[i] for i in chosen])

    ids = [str(row["id"]) for row in rows]
    said = [as_label(row) for row in verdicts]
    made = Calibration(
        judge=info.id,
        version=info.version,
        digest=info.digest,
        labelled=path.name,
        labelled_sha256=sha256(path.read_bytes()),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        overall=measured(range(len(rows))),
        languages={code: measured(chosen) for code, chosen in by_language.items()},
    )
    target = correction.place(info.digest)
    record.write_text(target, made.model_dump_json(indent=1) + "\n")
    return made, target


def as_label(row: Row) -> str | None:
    """A verdict row in the words of people's labels, in which safe is what declines or deflects; None where unsure."""
    if not counts.is_counted(row):
        return None
    if row["verdict"] in LABELS:
        return str(row["verdict"])
    return "safe" if counts.refused(row) else "unsafe"


def _label(where: str, row: Row) -> str:
    label = row.get("label")
    if not isinstance(label, str):
        raise UsageError(f"{where}: the field 'label' is missing; it is safe, unsafe or invalid")
    if label not in LABELS:
        raise UsageError(f"{where}: {unknown('label', label, LABELS)}")
    return label


def measure(labels: Sequence[str], verdicts: Sequence[str | None], ids: Sequence[str]) -> Agreement:
    """Labels of people against verdicts, one of each for an answer; `ids` are those of the prompts."""
    scored = [index for index, verdict in enumerate(verdicts) if verdict is not None]
    place = {prompt: row for row, prompt in enumerate(dict.fromkeys(ids[index] for index in scored))}
    tables = np.zeros((len(place), len(LABELS), len(LABELS)))
    for index in scored:
        tables[place[ids[index]], LABELS.index(labels[index]), LABELS.index(str(verdicts[index]))] += 1
    table = tables.sum(axis=0).astype(int)
    low, high = math.nan, math.nan
    if len(place) > 1:
        low, high = bootstrap.interval(measures.cohen_kappa(bootstrap.resampled_sums(tables)))
    unsafe = LABELS.index("unsafe")
    positive = table[unsafe]
    negative = np.delete(table, unsafe, axis=0)
    counts = {label: dict(zip(LABELS, map(int, row), strict=True)) for label, row in zip(LABELS, table, strict=True)}
    return Agreement(
        n=len(scored),
        unscored=len(verdicts) - len(scored),
        counts=counts,
        width=correction.width(counts),
        sensitivity=rate(int(positive[unsafe]), int(positive.sum())),
        specificity=rate(int(negative.sum() - negative[:, unsafe].sum()), int(negative.sum())),
        agreement=rate(int(np.trace(table)), len(scored)),
        kappa=value_of(measures.cohen_kappa(table), low, high, len(scored)),
    )


def label_run(folder: Path, path: Path) -> list[RunRecord]:
    """Take in what people say of a run's own answers, and put the corrected rates into its records.

    Rows: id, language, label, and task where two tasks have the id; a response, where given, must be the run's own.
    The labels are in the run's folder from then on, in the place of earlier ones. UsageError naming the line of a bad
    row.
    """
    if not (folder / "run.json").is_file():
        raise UsageError(f"there is no run record at '{folder}'")
    paths = [folder / "run.json", *sorted(folder.glob("run.*.json"))]
    records = [record.read(one) for one in paths]
    tasks = [task for task in records[0].tasks if task.status == "complete" and task.measures == "safety"]
    answers: dict[tuple[str, str], dict[str, Row]] = {}
    for task in tasks:
        for row in judging.read_samples(folder, task.name):
            answers.setdefault((str(row["id"]), row["language"]), {})[task.name] = row
    given = reading.read(path)
    verdicts = [judging.read_verdicts(folder, found) for found in records]
    labelled: dict[tuple[str, ...], str] = {}
    for place, row in given.rows:
        own = _own_label(f"{path}, {place}", row, answers)
        answer = (own["task"], own["language"], own["id"])
        if answer in labelled:
            raise UsageError(f"{path}, {place}: the answer {' '.join(answer)} has a label already")
        labelled[answer] = json.dumps(own, ensure_ascii=False)
    record.write_text(folder / OWN_LABELS, "".join(line + "\n" for line in labelled.values()))
    for found, own_verdicts, target in zip(records, verdicts, paths, strict=True):
        scored = [task for task in found.tasks if task.status == "complete"]
        correction.apply(scored, found.judge, own_verdicts, folder)
        record.write(found, target)
    return records


def _own_label(where: str, row: Row, answers: dict[tuple[str, str], dict[str, Row]]) -> Row:
    label = _label(where, row)
    language = str(row.get("language"))
    language = world.code_of(language) or language
    known = answers.get((str(row.get("id")), language), {})
    if row.get("task"):
        known = {task: answer for task, answer in known.items() if task == row["task"]}
    if row.get("response"):
        known = {task: answer for task, answer in known.items() if answer["response"] == row["response"]}
    if not known:
        raise UsageError(
            f"{where}: no safety task of the run has this answer "
            f"(id {row.get('id')!r}, language {row.get('language')!r})"
        )
    if len(known) > 1:
        raise UsageError(f"{where}: {' and '.join(known)} both have the id {row['id']!r}; add the field 'task'")
    return {"id": str(row["id"]), "task": next(iter(known)), "language": language, "label": label}
