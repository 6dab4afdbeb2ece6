"""How far a judge agrees with people: measured on answers that they have labelled, kept for later runs.

The result lies under the judge's digest in our cache, so that another version of the judge, another model behind it or
another rubric needs a calibration of its own. What runs make of it is in `correction.py`.
"""

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlc_bench import bootstrap, correction, judging, record, stats
from mlc_bench.aggregate import rate
from mlc_bench.correction import OWN_LABELS, Agreement, Calibration, value_of
from mlc_bench.data import cache_dir, read_json_lines, sha256
from mlc_bench.errors import UsageError, unknown
from mlc_bench.progress import bar
from mlc_bench.record import RunRecord

Row = dict[str, Any]
LABELS = ("safe", "unsafe", "invalid")


def calibrate(name: str, path: Path, settings: dict[str, Any] | None = None) -> tuple[Calibration, Path]:
    """Judge labelled answers, measure, and keep the result for later runs; also where it lies.

    Rows: id, language, prompt, response, label (safe, unsafe or invalid, by people). UsageError naming the line of a
    bad row; errors of the judge as in `judging.open_judge`.
    """
    judging.check(name, settings)
    rows = judging.read_answers(path)
    labels = [_label(path, number, row) for number, row in read_json_lines(path)]
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
        return measure(*([of[i] for i in chosen] for of in (labels, [v["verdict"] for v in verdicts], ids)))

    ids = [str(row["id"]) for row in rows]
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


def _label(path: Path, number: int, row: Row) -> str:
    label = row.get("label")
    if not isinstance(label, str):
        raise UsageError(f"{path}, line {number}: the field 'label' is missing; it is safe, unsafe or invalid")
    if label not in LABELS:
        raise UsageError(f"{path}, line {number}: {unknown('label', label, LABELS)}")
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
        low, high = bootstrap.interval(stats.cohen_kappa(bootstrap.resampled_sums(tables)))
    unsafe = LABELS.index("unsafe")
    positive = table[unsafe]
    negative = np.delete(table, unsafe, axis=0)
    return Agreement(
        n=len(scored),
        unscored=len(verdicts) - len(scored),
        counts={label: dict(zip(LABELS, map(int, row), strict=True)) for label, row in zip(LABELS, table, strict=True)},
        sensitivity=rate(int(positive[unsafe]), int(positive.sum())),
        specificity=rate(int(negative.sum() - negative[:, unsafe].sum()), int(negative.sum())),
        agreement=rate(int(np.trace(table)), len(scored)),
        kappa=value_of(stats.cohen_kappa(table), low, high, len(scored)),
    )


def label_run(folder: Path, path: Path) -> list[RunRecord]:
    """Take in what people say of a run's own answers, and put the corrected rates into its records.

    Rows: id, language, label, and task where two tasks have the id; a response, where given, must be the run's own.
    The labels lie in the run's folder from then on, in the place of earlier ones. UsageError naming the line of a bad
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
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    verdicts = [judging.read_verdicts(folder, found) for found in records]
    labelled: dict[tuple[str, ...], str] = {}
    for number, row in read_json_lines(path):
        own = _own_label(path, number, row, answers)
        answer = (own["task"], own["language"], own["id"])
        if answer in labelled:
            raise UsageError(f"{path}, line {number}: the answer {' '.join(answer)} has a label already")
        labelled[answer] = json.dumps(own, ensure_ascii=False)
    record.write_text(folder / OWN_LABELS, "".join(line + "\n" for line in labelled.values()))
    for found, own_verdicts, target in zip(records, verdicts, paths, strict=True):
        scored = [task for task in found.tasks if task.status == "complete"]
        correction.apply(scored, found.judge, own_verdicts, folder)
        record.write(found, target)
    return records


def _own_label(path: Path, number: int, row: Row, answers: dict[tuple[str, str], dict[str, Row]]) -> Row:
    label = _label(path, number, row)
    known = answers.get((str(row.get("id")), str(row.get("language"))), {})
    if "task" in row:
        known = {task: answer for task, answer in known.items() if task == row["task"]}
    if "response" in row:
        known = {task: answer for task, answer in known.items() if answer["response"] == row["response"]}
    where = f"{path}, line {number}: "
    if not known:
        raise UsageError(
            f"{where}no safety task of the run has this answer (id {row.get('id')!r}, language {row.get('language')!r})"
        )
    if len(known) > 1:
        raise UsageError(f"{where}{' and '.join(known)} both have the id {row['id']!r}; add the field 'task'")
    return {"id": str(row["id"]), "task": next(iter(known)), "language": row["language"], "label": label}
