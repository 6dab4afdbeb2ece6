"""Shards as tasks of a Ray cluster: the one at RAY_ADDRESS, or one that is started on this machine.

Results, models and the working folder are on a disk that all nodes share. Ray runs a task again when its process or
its node dies; the task then takes up from the stored answers.
"""

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.sweeps import jobs
from mlc_bench.sweeps.board import DEATHS, Board
from mlc_bench.sweeps.events import Event, Reader
from mlc_bench.sweeps.jobs import Job
from mlc_bench.sweeps.worker import Halt, Work, carry_out, check_folder, keep_log

_POLL = 0.2  # seconds
_RETRIES = 5  # of Ray, for a task whose process or node dies
_BESIDE_WEIGHTS = 1 << 30  # bytes of memory that the libraries take
_TO_END = 30.0  # seconds that a cancelled task has to store what it has answered
_HEAD_EVERY, _HEAD_MISSES = 2.0, 5  # seconds between two looks for the head node; so many in vain: it is gone
_KEPT = re.compile(r"MLC_BENCH_\w+|HF_(HOME|HUB_CACHE|HUB_OFFLINE|DATASETS_\w+)|OMP_NUM_THREADS")
"""Variables that tasks get from this process: where things are, and no keys."""


def _task(work: str, environment: dict[str, str]) -> list[Event]:
    """What Ray runs: one shard, in a process of Ray's. Its events once more: a shared disk may show files late."""
    from mlc_bench import console

    os.environ.update(environment)
    console.quiet()
    shard = Work.loaded(work)
    if not Path(shard.place).is_dir():
        raise Halt(f"'{shard.place}' is not on node {socket.gethostname()}: all nodes must share this folder")
    check_folder(shard.folder)
    keep_log(shard.log)
    return carry_out(shard)


class OnRay:
    """Carries out shards on a cluster; as a context, it joins the cluster and leaves it."""

    folder: Path
    board: Board
    tell: Callable[[Event], None]
    weights: dict[int, int]

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._pending: dict[Any, Work] = {}
        self._given = 0
        self._head = ""
        self._looked, self._misses = 0.0, 0

    def __enter__(self) -> "OnRay":
        try:
            import ray
        except ImportError:
            raise PrerequisiteError("Ray is not installed; run: pip install 'mlc-bench[ray]'") from None
        address = os.environ.get("RAY_ADDRESS", "")
        if address.startswith("ray://"):
            raise PrerequisiteError("RAY_ADDRESS=ray://... is not enough; give the command on a node of the cluster")
        if re.fullmatch(r"[^/]+:\d+", address) and not _answers(address):
            raise PrerequisiteError(f"no Ray cluster answers at RAY_ADDRESS={address}; start its head node: ray start")
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", configure_logging=True)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise PrerequisiteError(f"cannot join the Ray cluster {address} ({reason}); check RAY_ADDRESS") from None
        finally:
            with contextlib.suppress(ValueError):  # only the main thread may; Ray takes SIGTERM for itself
                signal.signal(signal.SIGTERM, handler)
        self._head = ray.get_runtime_context().gcs_address
        return self

    def __exit__(self, *_: object) -> None:
        """Let tasks that still work store their answers, and leave the cluster."""
        import ray

        with self._open:
            if self._misses:  # nothing would answer
                return
            for ref in self._pending:
                ray.cancel(ref)
            if self._pending:
                ray.wait(list(self._pending), num_returns=len(self._pending), timeout=_TO_END)
            ray.shutdown()

    def begin(self, folder: Path, board: Board, tell: Callable[[Event], None], weights: dict[int, int]) -> None:
        """Say what it is done for; `weights`: bytes of the model by the number of a job."""
        self.folder, self.board, self.tell, self.weights = folder.absolute(), board, tell, weights
        self._events = Reader(self.folder)
        log = self._open.enter_context((folder / "ray.log").open("a", encoding="utf-8"))
        self._open.enter_context(contextlib.redirect_stdout(log))  # where Ray tells of processes that have died

    def slots(self, asked: list[Job]) -> int:
        """How many engines the cluster has room for at once. Raises PrerequisiteError where it has for none."""
        return min(len(asked), *(self._room(job) for job in asked))

    def has_gpus(self) -> bool:
        return any(node.get("GPU") for node in self._nodes())

    def answer(self, shards: list[list[Job]]) -> None:
        """Carry out the generate phase of all shards. Raises Halt."""
        for shard in shards:
            self._submit("generate", shard, max(map(self._gpus, shard)))
        for work, error in self._ended():
            for event in self.board.after_death(work.jobs, f"with {error}", work.log, DEATHS):
                self.tell(event)
            if left := self.board.left(work.jobs):
                self._submit("generate", left, max(map(self._gpus, left)))

    def judge(self, groups: list[list[Job]], gpus: int) -> None:
        """Judge each group of jobs, one after another. Raises Halt."""
        for group in groups:
            self._submit("judge", group, gpus if self.has_gpus() else 0)
            for _, error in self._ended():
                for job in group:
                    text = f"the judge's process has ended with {error}, {_RETRIES + 1} times"
                    self.tell({"event": "failed", "job": job.number, "phase": "judge", "error": text})

    def _gpus(self, job: Job) -> int:
        return jobs.gpus(job) if self.has_gpus() else 0

    def _memory(self, shard: list[Job]) -> int:
        return max(self.weights.get(job.number, 0) for job in shard) + _BESIDE_WEIGHTS

    def _size(self, job: Job) -> tuple[int, int]:
        return self._gpus(job), self._memory([job])

    def _nodes(self) -> list[dict[str, float]]:
        import ray

        self._require_head()
        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def _room(self, job: Job) -> int:
        """How many engines like that of this job fit into the cluster."""
        gpus, memory = self._size(job)
        room = sum(
            int(min(node.get("CPU", 0), node.get("memory", 0) // memory, node.get("GPU", 0) // gpus if gpus else 1e9))
            for node in self._nodes()
        )
        if not room:
            raise PrerequisiteError(
                f"no node of the Ray cluster has room for {job.name}: 1 CPU, {gpus} GPUs and {memory / 2**30:.1f} GiB "
                "of memory; add such a node, or take a smaller model"
            )
        return room

    def _submit(self, phase: str, shard: list[Job], gpus: int) -> None:
        import ray

        self._require_head()
        self._given += 1
        work = Work(phase, shard, self.folder, f"{phase}-{self._given}", os.getcwd())
        environment = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
        options = {"num_cpus": 1, "num_gpus": gpus, "memory": self._memory(shard), "max_retries": _RETRIES}
        task = ray.remote(_task).options(**options, name=f"mlc-bench {work.name}")
        self._pending[task.remote(work.dumped(), environment)] = work

    def _ended(self) -> Any:
        """Wait until no task is pending, also one that is added meanwhile; the works that Ray has given up, and why."""
        import ray

        while self._pending:
            ready, _ = ray.wait(list(self._pending), num_returns=1, timeout=_POLL)
            check_folder(self.folder)
            self._check_head()
            for event in self._events.new():
                self.tell(event)
            for ref in ready:
                work = self._pending.pop(ref)
                try:
                    for event in ray.get(ref):
                        self.tell(event)
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause if isinstance(error.cause, Exception) else error
                    if isinstance(cause, Halt):
                        raise Halt(str(cause)) from None
                    yield work, f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
                except ray.exceptions.RayError as error:
                    self._check_head()
                    yield work, type(error).__name__

    def _require_head(self) -> None:
        """Before what asks the head node: wait until it answers. Raises Halt where it is gone."""
        self._looked = 0.0
        self._check_head()
        while self._misses:
            time.sleep(_POLL)
            self._check_head()

    def _check_head(self) -> None:
        """Raises Halt where the head node is gone: Ray itself would wait a minute, and end this process."""
        if time.monotonic() - self._looked < _HEAD_EVERY:
            return
        self._looked = time.monotonic()
        self._misses = 0 if _answers(self._head) else self._misses + 1
        if self._misses >= _HEAD_MISSES:
            raise Halt(
                f"the head node of the Ray cluster ({self._head}) is gone; start the cluster again, then give the same "
                "command again: it goes on with what is stored"
            )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_HEAD_EVERY).close()
    except OSError:
        return False
    return True
