"""Shards on this machine: a process for each slot, which takes one shard after another, and another where it dies."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.sweeps.board import Board
from mlc_bench.sweeps.events import Event, Reader
from mlc_bench.sweeps.jobs import Job
from mlc_bench.sweeps.slots import Gpus
from mlc_bench.sweeps.worker import DONE, Halt, Work, check_folder

_POLL = 0.1  # seconds
_TO_END = 30.0  # seconds that a process has, once asked to end, to store what it has answered
_MODULE = "mlc_bench.sweeps.worker"


@dataclass
class _Process:
    popen: "subprocess.Popen[str]"
    work: Work | None = None

    def give(self, work: Work) -> None:
        self.work = work
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: `said` tells
            self.popen.stdin.write(f"{work.dumped()}\n")
            self.popen.stdin.flush()

    def said(self) -> str | None:
        """A line that it has said; an empty one once it has ended; None: nothing yet."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline() if select.select([self.popen.stdout], [], [], 0)[0] else None


class Local:
    """Carries out shards in processes; as a context, it ends them."""

    def __init__(self, slots: list[Gpus], folder: Path, board: Board, tell: Callable[[Event], None]) -> None:
        self.slots = slots
        self.folder = folder
        self.board = board
        self.tell = tell
        self._events = Reader(folder)
        self._processes: dict[int, _Process] = {}
        self._given = 0

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        """Ask for the end of what still works, and wait until it has stored its answers."""
        for process in self._processes.values():
            assert process.popen.stdin is not None
            with contextlib.suppress(OSError):
                process.popen.stdin.close()  # which a process at work takes for SIGTERM
        end = time.monotonic() + _TO_END
        for process in self._processes.values():
            try:
                process.popen.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
        self._processes = {}

    def answer(self, shards: list[list[Job]]) -> None:
        """Carry out the generate phase of all shards. Raises Halt."""
        waiting = [shard for shard in shards if shard]
        while waiting or any(process.work for process in self._processes.values()):
            for slot in range(len(self.slots)):
                if waiting and not self._is_busy(slot):
                    self._start(slot, "generate", waiting.pop(0))
            for work, how in self._ended():
                for event in self.board.after_death(work.jobs, how, work.log):
                    self.tell(event)
                if left := self.board.left(work.jobs):
                    waiting.insert(0, left)

    def judge(self, groups: list[list[Job]]) -> None:
        """Judge each group of jobs, one after another, with the GPUs of all slots. Raises Halt."""
        for group in groups:
            for attempt in (1, 2):
                self._start(0, "judge", group)
                died: list[tuple[Work, str]] = []
                while self._is_busy(0):
                    died += self._ended()
                if not died:
                    break
                if attempt == 2:
                    error = f"the judge's process has ended {died[0][1]}, and so it did again; {died[0][0].log}"
                    for job in group:
                        self.tell({"event": "failed", "job": job.number, "phase": "judge", "error": error})

    def only(self, gpus: Gpus, alone: bool) -> None:
        """From now on there is one slot, with these GPUs; `alone`: its process has not shared the cores."""
        is_kept = self.slots[0] == gpus and (len(self.slots) == 1 or not alone)
        kept = self._processes.pop(0, None) if is_kept else None
        self._end()
        self.slots, self._processes = [gpus], {0: kept} if kept else {}

    def _is_busy(self, slot: int) -> bool:
        return slot in self._processes and self._processes[slot].work is not None

    def _start(self, slot: int, phase: str, shard: list[Job]) -> None:
        process = self._processes.get(slot) or _Process(self._popen(self.slots[slot]))
        self._processes[slot] = process
        self._given += 1
        process.give(Work(phase, shard, self.folder, f"{phase}-{self._given}", os.getcwd()))

    def _popen(self, gpus: Gpus) -> "subprocess.Popen[str]":
        environment = dict(os.environ)
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        elif len(self.slots) > 1:  # each would take all cores
            environment.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // len(self.slots))))
        with (self.folder / "workers.log").open("ab") as log:  # of what comes before a shard's own
            return subprocess.Popen(
                [sys.executable, "-m", _MODULE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone, and we let each of them end once
            )

    def _ended(self) -> list[tuple[Work, str]]:
        """Wait a moment, pass on what is new, and give the shards whose process has died, with how it did."""
        check_folder(self.folder)
        pipes: list[Any] = [process.popen.stdout for process in self._processes.values() if process.work]
        select.select(pipes, [], [], _POLL)
        said = [(slot, process, process.said()) for slot, process in self._processes.items() if process.work]
        for event in self._events.new():
            self.tell(event)
        died = []
        for slot, process, line in said:
            if line is None:
                continue
            work, process.work = process.work, None
            if line.strip() == DONE:
                continue
            del self._processes[slot]
            code = process.popen.wait()
            if line:
                raise Halt(line.strip())
            check_folder(self.folder)
            assert work is not None
            died.append((work, _how(code)))
        return died


def _how(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
