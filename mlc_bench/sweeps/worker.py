"""One process of a sweep: answers the jobs of a shard on one engine, or judges all runs. It reads shards as JSON.

What goes on is told by events; a job that fails is one of them, and the others go on. What concerns the whole sweep (a
full disk, results that are gone) is a Halt.
"""

import contextlib
import errno
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlc_bench.core import interruption, secrets
from mlc_bench.core.errors import PrerequisiteError, UserError
from mlc_bench.core.progress import Report, say
from mlc_bench.sweeps.events import Event, Writer
from mlc_bench.sweeps.jobs import Job

if TYPE_CHECKING:
    from mlc_bench.one_run import Run

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EACCES)
DONE = "done"  # what a process says on stdout after each shard; a Halt's line instead ends it


class Halt(PrerequisiteError):
    """The whole sweep cannot go on."""


@dataclass(frozen=True)
class Work:
    """A shard as a worker gets it: what to do with which jobs, and where it reports."""

    phase: str
    """generate or judge."""
    jobs: list[Job]
    folder: Path
    """The sweep's own, beside the results; nothing is written once it is gone."""
    name: str
    """Of the files of events and of the log in it."""
    place: str
    """The working folder that relative paths are meant from."""

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def dumped(self) -> str:
        """As one line of JSON."""
        jobs = [{"number": job.number, "name": job.name, "keywords": dict(job.keywords)} for job in self.jobs]
        mine = {"phase": self.phase, "folder": str(self.folder), "name": self.name, "place": self.place}
        return json.dumps(mine | {"jobs": jobs})

    @staticmethod
    def loaded(text: str) -> "Work":
        content = json.loads(text)
        jobs = [Job(**job) for job in content.pop("jobs")]
        return Work(jobs=jobs, **content | {"folder": Path(content["folder"])})


def carry_out(work: Work, watch: interruption.Watch | None = None) -> list[Event]:
    """Answer or judge; the events, which are in the file too. Raises Halt, and KeyboardInterrupt after a signal."""
    os.chdir(work.place)
    check_folder(work.folder)
    writer = Writer(work.folder / f"{work.name}.events.jsonl")
    phase = _Phase(work, writer, watch)
    try:
        with work.jobs[0].request.surroundings():
            phase.judge() if work.phase == "judge" else phase.generate()
    except Halt:
        raise
    except OSError as error:  # of the events themselves
        phase.halt_for(error)
        raise
    return writer.kept


def check_folder(folder: Path) -> None:
    """Raises Halt where the results are gone: written on, they would begin anew in an empty folder."""
    if not folder.is_dir():
        raise Halt(
            f"the results folder '{folder.parent.parent}' is gone (unmounted, moved or deleted?); bring it back, then "
            "give the same command again"
        )


class _Phase:
    def __init__(self, work: Work, writer: Writer, watch: interruption.Watch | None) -> None:
        self.work = work
        self.watch = watch
        self.emit = writer.emit
        self.progress = writer.progress

    def generate(self) -> None:
        from mlc_bench import runner

        todo: list[tuple[Job, Run]] = []
        for job in self.work.jobs:
            with self._failing([job], "generate"):
                (run,) = job.request.runs()
                if runner.is_wanted(run):
                    todo.append((job, run))
                else:
                    self.answered(job, run, took=0.0, from_store_only=True)
        jobs = {id(run): job for job, run in todo}
        for together in runner.by_engine([run for _, run in todo]):
            self._answer([(jobs[id(run)], run) for run in together])

    def _answer(self, todo: list[tuple[Job, "Run"]]) -> None:
        """With one start of the engine, and another one after each job that fails: what it left there is not known."""
        from mlc_bench import runner

        while todo:
            observer = _observer(self, todo)
            try:
                runner.generate([run for _, run in todo], observer=observer)
                return
            except Exception as error:
                failed = todo[observer.done : observer.done + 1] if observer.is_started else todo
                for job, _ in failed:
                    self._fail(job, "generate", error)
                todo = todo[observer.done + 1 :] if observer.is_started else []

    def judge(self) -> None:
        """Each judge over all runs; the first one of a job makes its run.json."""
        from mlc_bench import runner
        from mlc_bench.judges import judging

        runs: list[tuple[Job, Run]] = []
        for job in self.work.jobs:
            with self._failing([job], "judge"):
                runs += [(job, run) for run in job.request.runs()]
        if not runs:
            return
        request = runs[0][0].request
        jobs = [job for job, _ in runs]
        first, *others = request.judges()
        with self._failing(jobs, "judge"):
            say(f"judging {len(runs)} runs with {first}")
            for (job, run), found in zip(runs, runner.judge([run for _, run in runs]), strict=True):
                self.judged(job, first, found.status, run.folder / "run.json")
            for name in others:
                with self._failing(jobs, "judge"):
                    say(f"judging {len(runs)} runs with {name}")
                    folders = [run.folder for _, run in runs]
                    made = judging.rejudge(folders, name, dict(request.judge_args), request.allow_self_judge)
                    for job, (found, path) in zip(jobs, made, strict=True):
                        self.judged(job, name, found.status, path)

    def answered(self, job: Job, run: "Run", took: float, from_store_only: bool = False) -> None:
        made = run.generated
        counts = made["responses"]
        total = counts["generated"] + counts["from_store"]
        counts = {"generated": 0, "from_store": total} if from_store_only else counts
        errors = [f"{task}: {secrets.text(error)}" for task, error in made["errors"].items()]
        self.emit("generated", job=job.number, **counts, seconds=took, errors=errors, folder=str(run.folder))

    def judged(self, job: Job, judge: str, status: str, path: Path) -> None:
        self.emit("judged", job=job.number, judge=judge, status=status, record=str(path))

    @contextlib.contextmanager
    def _failing(self, jobs: list[Job], phase: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            for job in jobs:
                self._fail(job, phase, error)

    def _fail(self, job: Job, phase: str, error: Exception) -> None:
        if self.watch and self.watch.number:  # whatever a library has made of the signal
            raise KeyboardInterrupt from error
        self.halt_for(error)
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        if not isinstance(error, UserError):
            import traceback

            traceback.print_exception(error)  # into the log
            text += f" (the log says where: {self.work.log})"
        self.emit("failed", job=job.number, phase=phase, error=secrets.text(" ".join(text.split())[:500]))

    def halt_for(self, error: BaseException) -> None:
        """Raises Halt where an error means that no job can go on."""
        if isinstance(error, Halt):
            raise error
        check_folder(self.work.folder)
        for one in (error, error.__cause__):
            if isinstance(one, OSError) and one.errno in _NO_ROOM and self._is_ours(one.filename):
                raise Halt(
                    f"cannot write the results ({one.strerror}: '{one.filename or self._results}'); "
                    "make room, then give the same command again: it goes on with what is stored"
                ) from error

    @property
    def _results(self) -> Path:
        return self.work.folder.parent.parent

    def _is_ours(self, name: Any) -> bool:
        """Whether a file is among the results; what is written through a descriptor has no name."""
        return name is None or Path(str(name)).absolute().is_relative_to(self._results.absolute())


def _observer(phase: _Phase, todo: list[tuple[Job, "Run"]]) -> Any:
    """Tells of the runs of one engine, and counts those that are done."""
    from mlc_bench import runner

    class Telling(runner.Observer):
        is_started = False
        done = 0

        def engine_started(self, run: "Run") -> None:
            self.is_started = True
            phase.emit("engine", model=run.identity.name, engine=run.spec.engine, seconds=run.phases["start_engine"])

        @contextlib.contextmanager
        def answering(self, run: "Run") -> Iterator[Report]:
            job = todo[self.done][0]
            check_folder(phase.work.folder)
            phase.emit("started", job=job.number)
            with phase.progress(job.number) as report:
                yield report
            phase.answered(job, run, run.phases["generate"])
            self.done += 1

    return Telling()


def keep_log(path: Path) -> None:
    """Send what this process prints from now on to a file."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)


def main() -> int:
    """Carry out what comes in on stdin, one line a shard, until it ends; it ends early when our parent is killed."""
    from mlc_bench import console

    console.quiet()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    lines: queue.Queue[str | None] = queue.Queue()
    is_busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            is_busy.set()
            lines.put(line)
        if is_busy.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
        lines.put(None)

    with interruption.watching() as watch:
        threading.Thread(target=listen, daemon=True).start()
        try:
            while (line := lines.get()) is not None:
                work = Work.loaded(line)
                keep_log(work.log)
                carry_out(work, watch)
                is_busy.clear()
                print(DONE, file=answer, flush=True)
        except Halt as error:
            print(str(error), file=answer, flush=True)
            return error.exit_code
        except KeyboardInterrupt:
            interruption.stop_children(watch.begin)
            return 128 + (watch.number or signal.SIGINT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
