"""A sweep: all answers first, so that engines start once; then each judge over all runs."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import say
from mlc_bench.engines import vllm_cpu
from mlc_bench.records.record import write_text
from mlc_bench.sweeps import checkpoints, plan, slots, sweep_file
from mlc_bench.sweeps.board import Board
from mlc_bench.sweeps.events import Event
from mlc_bench.sweeps.jobs import Job, numbered, shards
from mlc_bench.sweeps.local import Local
from mlc_bench.sweeps.on_ray import OnRay
from mlc_bench.sweeps.progress import Progress, counted, is_complete

SWEEPS = "sweeps"  # the folder of what happened, beside the results
Where = Literal["local", "ray"]


def jobs_of(file: Path | None, runs: list[Path], output: str | None) -> list[Job]:
    """The jobs of a sweep's file and of training runs. Raises UsageError for what is wrong in either."""
    asked = sweep_file.read(file) if file else sweep_file.SweepFile()
    if not runs:
        if not (asked.models or asked.jobs):
            raise UsageError(f"{file}: models or jobs are missing" if file else "give a file, or --checkpoints FOLDER")
        return numbered(sweep_file.requests(asked, output))
    if asked.jobs or len(asked.models) > 1 or asked.adapters != [None]:
        raise UsageError(f"{file}: with --checkpoints there is one model at most, the base, and no adapters or jobs")
    base = asked.models[0] if asked.models else None
    common = sweep_file.requests(
        sweep_file.SweepFile(models=["-"], judges=asked.judges, settings=asked.settings), output
    )
    found: list[Mapping[str, Any]] = [
        {**common[0], "model": model, "adapter": adapter}
        for run in runs
        for model, adapter in checkpoints.models(run, base)
    ]
    return numbered(found)


def with_engines(jobs: list[Job], has_gpus: bool) -> list[Job]:
    """The jobs with the engine that each has without a name for it: vLLM on GPUs, where it is installed."""
    default = "vllm" if has_gpus and vllm_cpu.version("vllm") else "hf"
    return [
        Job(job.number, job.name, {**job.keywords, "engine": job.keywords.get("engine") or default}) for job in jobs
    ]


@dataclass
class Outcome:
    board: Board
    is_complete: bool
    """Whether every job has a complete record of each judge."""


def run(jobs: list[Job], where: Where, workers: int | None, events: TextIO | None, again: str) -> Outcome:
    """Carry out all jobs; those that fail are on the board, and the others go on. `events`: where they are printed.

    Errors as those of `mlc_bench.run` where no job can go on: nothing right in any, a full disk, results that are gone,
    a cluster that is gone.
    """
    if where == "ray":
        if workers is not None:
            raise UsageError("--workers goes with --on local; a cluster runs as many jobs as it has room for")
        return _on_ray(jobs, events, again)
    gpus = slots.visible()
    jobs = with_engines(jobs, bool(gpus))
    shared = slots.share(jobs, workers, gpus)
    sweep = _Sweep(jobs, len(shared), events, again)
    with Local(shared, sweep.folder, sweep.board, sweep.tell) as place:
        if todo := sweep.to_answer():
            place.answer(shards(todo, len(shared)))
        if groups := sweep.to_judge():
            has_model = sweep.judge_gpus() > 0
            place.only(gpus if has_model else shared[0], alone=has_model)
            place.judge(groups)
    return sweep.end()


def _on_ray(jobs: list[Job], events: TextIO | None, again: str) -> Outcome:
    with OnRay() as place:
        jobs = with_engines(jobs, place.has_gpus())
        sweep = _Sweep(jobs, 1, events, again)
        place.begin(sweep.folder, sweep.board, sweep.tell, {one.job.number: one.weights for one in sweep.checked})
        sweep.progress.at_once = place.slots(jobs)
        if todo := sweep.to_answer():
            place.answer(shards(todo, sweep.progress.at_once))
        if groups := sweep.to_judge():
            place.judge(groups, sweep.judge_gpus())
        return sweep.end()


class _Sweep:
    """The jobs, checked, with the sweep's own folder."""

    def __init__(self, jobs: list[Job], at_once: int, events: TextIO | None, again: str) -> None:
        self.jobs = jobs
        self.again = again
        self.begin = time.monotonic()
        self.checked = plan.check(jobs)
        self.board = Board(jobs)
        self.progress = Progress(self.board, at_once, events)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S")
        self.folder = Path(jobs[0].request.output) / SWEEPS / f"{now}-{os.getpid()}"
        self.folder.mkdir(parents=True)
        self._write()
        names = [{"job": job.number, "name": job.name} for job in jobs]
        self.progress.emit({"event": "sweep", "folder": str(self.folder), "jobs": names})

    def tell(self, event: Event) -> None:
        self.progress.tell(event)
        if event["event"] in ("generated", "failed", "judged"):
            self._write()

    def _write(self) -> None:
        content = {"command": self.again, "jobs": self.board.summary()}
        write_text(self.folder / "sweep.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def to_answer(self) -> list[Job]:
        """The jobs that an engine is needed for; says what has failed already and what is there."""
        for one in self.checked:
            if one.error:
                error = str(one.error)
                self.tell({"event": "failed", "job": one.job.number, "phase": "generate", "error": error})
            elif one.is_generated:
                self.board.by_number[one.job.number].state = "generated"
        todo = [one.job for one in self.checked if not one.error and not one.is_generated]
        there = sum(one.is_generated for one in self.checked)
        starts = len(shards(todo, self.progress.at_once))
        say(
            f"{counted(len(self.jobs), 'job')}, {there} answered already; {counted(starts, 'engine start')}, "
            f"results in {self.folder.parents[1]}"
        )
        return todo

    def to_judge(self) -> list[list[Job]]:
        """The jobs that are answered, those with the same judges together."""
        groups: dict[str, list[Job]] = {}
        for job in self.jobs:
            if self.board.by_number[job.number].is_answered:
                groups.setdefault(job.judge_key, []).append(job)
        for group in groups.values():
            say(f"judging {counted(len(group), 'run')} with {', '.join(group[0].request.judges())}")
        return list(groups.values())

    def judge_gpus(self) -> int:
        """How many GPUs the largest judge takes: none where all are rules, classifiers or servers."""
        return max(
            (slots.of_judge(name, job.request.judge_args) for job in self.jobs for name in job.request.judges()),
            default=0,
        )

    def end(self) -> Outcome:
        standings = self.board.by_number.values()
        complete = [is_complete(one, one.job.request.judges()) for one in standings]
        failed = [one.job.name for one, is_whole in zip(standings, complete, strict=True) if not is_whole]
        took = round(time.monotonic() - self.begin, 3)
        self._write()
        self.progress.emit(
            {
                "event": "end",
                "complete": sum(complete),
                "failed": failed,
                "engine_starts": self.board.engine_starts,
                "seconds": took,
                "command": self.again,
            }
        )
        return Outcome(self.board, all(complete))
