"""How far each job is, from the events of the workers."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mlc_bench.sweeps.events import Event
from mlc_bench.sweeps.jobs import Job

DEATHS = 2  # a job whose process has died so often has failed
State = Literal["waiting", "generating", "generated", "failed"]


@dataclass
class Standing:
    """One job: its state, and what it has left."""

    job: Job
    state: State = "waiting"
    done: int = 0
    total: int = 0
    generated: int = 0
    """Answers that this sweep has made; the rest were stored."""
    from_store: int = 0
    seconds: float | None = None
    """Of the generate phase."""
    errors: list[str] = field(default_factory=list)
    """Of the job, of single tasks, or of single judges."""
    records: dict[str, str] = field(default_factory=dict)
    """Judge -> the record's path."""

    @property
    def is_answered(self) -> bool:
        return self.state == "generated"


class Board:
    """All jobs, by number."""

    def __init__(self, jobs: list[Job]) -> None:
        self.by_number = {job.number: Standing(job) for job in jobs}
        self.engine_starts = 0
        self._deaths: Counter[int] = Counter()
        self._seen: set[str] = set()

    def take(self, event: Event) -> bool:
        """Take in an event; False where it says nothing new (a job that was taken up again tells it once more)."""
        if event.get("id") in self._seen:
            return False
        if "id" in event:
            self._seen.add(event["id"])
        if event["event"] == "engine":
            self.engine_starts += 1
            return True
        one = self.by_number.get(event.get("job", 0))
        if one is None:
            return False
        return bool(getattr(self, f"_{event['event']}", lambda *_: False)(one, event))

    def _started(self, one: Standing, event: Event) -> bool:
        if one.is_answered:
            return False
        one.state = "generating"
        return True

    def _progress(self, one: Standing, event: Event) -> bool:
        one.done, one.total = event["done"], event["total"]
        return True

    def _generated(self, one: Standing, event: Event) -> bool:
        if one.is_answered:
            return False
        one.state, one.seconds = "generated", event["seconds"]
        one.generated, one.from_store = event["generated"], event["from_store"]
        one.errors += event["errors"]
        return True

    def _failed(self, one: Standing, event: Event) -> bool:
        if event["error"] in one.errors:
            return False
        one.errors.append(event["error"])
        if event["phase"] == "generate":
            one.state = "failed"
        return True

    def _judged(self, one: Standing, event: Event) -> bool:
        is_new = event["judge"] not in one.records
        one.records[event["judge"]] = event["record"]
        return is_new

    def left(self, shard: list[Job]) -> list[Job]:
        """The jobs of a shard that are neither answered nor failed."""
        return [job for job in shard if self.by_number[job.number].state in ("waiting", "generating")]

    def after_death(self, shard: list[Job], how: str, log: Path, deaths: int = 1) -> list[Event]:
        """Failures to report when a shard's process has ended without a word: of a job that it has died of before.

        Where no job had begun, the first one counts.
        """
        left = self.left(shard)
        if not left:
            return []
        at = next((job for job in left if self.by_number[job.number].state == "generating"), *left[:1])
        self._deaths[at.number] += deaths
        if self._deaths[at.number] < DEATHS:
            return []
        error = f"its process has ended {how}, and so it did again; was there too little memory? {log}"
        return [{"event": "failed", "job": at.number, "phase": "generate", "error": error}]

    def summary(self) -> list[dict[str, Any]]:
        """For sweep.json."""
        return [
            {
                "job": one.job.number,
                "name": one.job.name,
                "state": one.state,
                "errors": one.errors,
                "records": one.records,
            }
            for one in self.by_number.values()
        ]
