"""How far a judge agrees with people: measured on answers that they have labelled, kept for later runs.

The result is kept under the judge's digest in our cache, so that another version of the judge, another model behind it
or another rubric needs a calibration of its own. What runs make of it is in `records/correction.py`.
"""

import json
import shlex
import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlc_bench.catalog import reading
from mlc_bench.catalog.data import cache_dir, sha256
from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.core.progress import bar, say
from mlc_bench.judges import coverage, judging
from mlc_bench.judges.labels import weighting
from mlc_bench.judges.labels.own import own_rows
from mlc_bench.judges.labels.words import as_label, is_new, verdict_of
from mlc_bench.records import correction, record
from mlc_bench.records.aggregate import rate
from mlc_bench.records.correction import OWN_LABELS, Agreement, Calibration, value_of
from mlc_bench.records.record import RunRecord
from mlc_bench.stats import bootstrap

Row = dict[str, Any]
LABELS = ("safe", "unsafe", "invalid")


def calibrate(name: str, path: Path, settings: dict[str, Any] | None = None) -> tuple[Calibration, Path]:
    """Judge labelled answers, measure, and keep the result for later runs; also where it is.

    It takes the place of an earlier one by other labels, which stays beside it: that is said.

    Rows: those of `mlc-bench label`, weighted by how they were drawn; or id, language, prompt, response and label
    (safe, unsafe or invalid, by people). Skipped ones are left out. UsageError naming the line of a bad row; errors of
    the judge as in `judging.open_judge`.
    """
    judge = judging.open_judge(name, settings)
    by_harm = "harm" in judge.sees
    given = [(f"{path}, {place}", row) for place, row in reading.read(path).rows]
    said = [(verdict_of(row, where, by_harm), (where, row)) for where, row in given]
    labels = [label for label, _ in said if label is not None]
    kept = [one for label, one in said if label is not None]
    if not kept:
        raise UsageError(f"{path} has no label: every answer in it was skipped")
    rows, design = judging.check_answers(kept), weighting.design(kept, path)
    coverage.check(name, settings, [(str(path), "safety", {row["language"] for row in rows})])
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
        said = [as_label(verdicts[i]) for i in chosen]
        own, prompts = [labels[i] for i in chosen], [ids[i] for i in chosen]
        found = measure(own, said, prompts)
        if design is None:
            return found
        weights, strata = design
        return weighting.weigh(found, own, said, prompts, [weights[i] for i in chosen], [strata[i] for i in chosen])

    ids = [f"{row['task']} {row['id']}" if is_new(row) else str(row["id"]) for row in rows]
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
    try:
        earlier = correction.find(info.digest)
        what = earlier and f"the calibration by {earlier.labelled} ({earlier.overall.n} answers, {earlier.created})"
    except StaleError:
        earlier, what = None, "a calibration that this version cannot read"
    if what and (earlier is None or earlier.labelled_sha256 != made.labelled_sha256):
        _keep(target, what)
    record.write_text(target, made.model_dump_json(indent=1) + "\n")
    return made, target


def _keep(path: Path, what: str) -> None:
    """Have a file that is about to be replaced beside the new one: it may be hours of people's work."""
    kept = path.with_name(f"{path.stem}.{sha256(path.read_bytes())[:8]}{path.suffix}")
    shutil.copyfile(path, kept)
    say(f"this takes the place of {what}; to have it again: cp {shlex.quote(str(kept))} {shlex.quote(str(path))}")


def measure(labels: Sequence[str], verdicts: Sequence[str | None], ids: Sequence[str]) -> Agreement:
    """Labels of people against verdicts, one of each for an answer; `ids` are those of the prompts."""
    scored = [index for index, verdict in enumerate(verdicts) if verdict is not None]
    place = {prompt: row for row, prompt in enumerate(dict.fromkeys(ids[index] for index in scored))}
    tables = np.zeros((len(place), len(LABELS), len(LABELS)))
    for index in scored:
        tables[place[ids[index]], LABELS.index(labels[index]), LABELS.index(str(verdicts[index]))] += 1
    table = tables.sum(axis=0).astype(int)
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
        kappa=value_of(*bootstrap.kappa(tables), len(scored)),
    )


def label_run(folder: Path, path: Path) -> list[RunRecord]:
    """Take in what people say of a run's own answers, and put the corrected rates into its records.

    The labels are in the run's folder from then on, in the place of earlier ones, which stay beside them: that is said.
    Rows and errors as `corrected`.
    """
    records, labels = corrected(folder, path)
    kept = folder / OWN_LABELS
    if kept.is_file() and (earlier := kept.read_bytes()) != labels.encode():
        _keep(kept, f"the {len(earlier.splitlines())} labels that the run had")
    record.write_text(kept, labels)
    for target, found in records:
        record.write(found, target)
    return [found for _, found in records]


def corrected(folder: Path, path: Path) -> tuple[list[tuple[Path, RunRecord]], str]:
    """The records of a run as people's labels correct them, each with its place, and the labels as a run keeps them.

    Nothing is written.

    Rows: those of `mlc-bench label`, of which the ones of this run's tasks of safety and over-refusal count; or id,
    language, label (of safety tasks: what is safe is said of a harmful prompt), and task where two tasks have the id; a
    response, where given, must be the run's own. UsageError naming the line of a bad row.
    """
    if not (folder / "run.json").is_file():
        raise UsageError(f"there is no run record at '{folder}'")
    paths = [folder / "run.json", *sorted(folder.glob("run.*.json"))]
    records = [record.read(one) for one in paths]
    tasks = [task for task in records[0].tasks if task.status == "complete" and task.measures != "utility"]
    harmful = {task.name for task in tasks if task.measures == "safety"}
    answers: dict[tuple[str, str], dict[str, Row]] = {}
    for task in tasks:
        for row in judging.read_samples(folder, task.name):
            answers.setdefault((str(row["id"]), row["language"]), {})[task.name] = row
    verdicts = [judging.read_verdicts(folder, found) for found in records]
    labelled: dict[tuple[str, ...], str] = {}
    given = own_rows(path, records[0].run_id, {task.name for task in tasks})
    design = weighting.design(given, path)
    for index, (where, row) in enumerate(given):
        own = _own_label(where, row, answers, harmful)
        if design is not None:
            own |= {"weight": float(design[0][index]), "stratum": design[1][index]}
        answer = (own["task"], own["language"], own["id"])
        if answer in labelled:
            raise UsageError(f"{where}: the answer {' '.join(answer)} has a label already")
        labelled[answer] = json.dumps(own, ensure_ascii=False)
    text = "".join(line + "\n" for line in labelled.values())
    for found, own_verdicts in zip(records, verdicts, strict=True):
        scored = [task for task in found.tasks if task.status == "complete"]
        correction.apply(scored, found.judge, own_verdicts, folder, text)
    return list(zip(paths, records, strict=True)), text


def _own_label(where: str, row: Row, answers: dict[tuple[str, str], dict[str, Row]], harmful: Collection[str]) -> Row:
    label = verdict_of(row, where)
    language = str(row.get("language"))
    language = world.code_of(language) or language
    known = answers.get((str(row.get("id")), language), {})
    if not is_new(row):
        known = {task: answer for task, answer in known.items() if task in harmful}
    if row.get("task"):
        known = {task: answer for task, answer in known.items() if task == row["task"]}
    if row.get("response"):
        known = {task: answer for task, answer in known.items() if answer["response"] == row["response"]}
    if not known:
        raise UsageError(
            f"{where}: no task of the run has this answer to label "
            f"(id {row.get('id')!r}, language {row.get('language')!r})"
        )
    if len(known) > 1:
        raise UsageError(f"{where}: {' and '.join(known)} both have the id {row['id']!r}; add the field 'task'")
    own = {"id": str(row["id"]), "task": next(iter(known)), "language": language, "label": label}
    return own | ({"of_harm": verdict_of(row, where, by_harm=True)} if is_new(row) else {})
