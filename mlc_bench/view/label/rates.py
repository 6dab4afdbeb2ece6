"""Rates before and after people's labels, by the code of `mlc-bench calibrate LABELS --run RUN`; nothing is written."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from mlc_bench.core.errors import UserError
from mlc_bench.judges import calibration
from mlc_bench.records import counts, record
from mlc_bench.records.record import Value
from mlc_bench.view.contents import Run
from mlc_bench.view.label.sessions import Begun


@dataclass(frozen=True)
class Rate:
    """A rate of one task in one language; `after` None: `why` says what is missing."""

    judge: str
    task: str
    metric: str
    language: str
    labels: int
    before: Value
    after: Value | None
    why: str


@dataclass(frozen=True)
class OfRun:
    """What labels make of one run: `command` writes it. `fault` in the place of rates where they say nothing of it."""

    run: Run
    rates: tuple[Rate, ...]
    command: str
    fault: str = ""


def by_labels(one: Begun) -> list[OfRun]:
    """The rates of every run of a draw."""
    return [_of_run(run, one.path) for run in one.runs]


def _of_run(run: Run, path: Path) -> OfRun:
    command = f"mlc-bench calibrate {shlex.quote(str(path))} --run {shlex.quote(run.folder)}"
    try:
        found, _ = calibration.corrected(Path(run.folder), path)
        rates = [rate for _, after in found for rate in _rates(after)]
    except UserError as error:
        return OfRun(run, (), command, str(error))
    return OfRun(run, tuple(rates), command)


def _rates(after: record.RunRecord) -> list[Rate]:
    known = {(one.task, one.language): one for one in after.judge.labels if one.task}
    found = []
    for task in after.tasks:
        for code, result in task.languages.items():
            if (use := known.get((task.name, code))) is None:
                continue
            headline = task.headline or ""
            found.append(
                Rate(
                    judge=after.judge.id,
                    task=task.name,
                    metric=counts.shown(headline),
                    language=code,
                    labels=use.n,
                    before=result.metrics[headline],
                    after=result.metrics.get(f"{headline}_prediction_powered"),
                    why=use.reason or "",
                )
            )
    return found
