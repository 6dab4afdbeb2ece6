"""What people and programs see of a sweep: a line for each job with the time left, and a summary; or JSON lines."""

import json
import time
from pathlib import Path
from typing import TextIO

from mlc_bench.core.progress import say
from mlc_bench.records import record, run_table, selectivity
from mlc_bench.records.record import RunRecord
from mlc_bench.sweeps.board import Board, Standing
from mlc_bench.sweeps.events import Event

_SILENCE = 300.0  # seconds after which a line says what is being done


class Progress:
    """Tells on stderr how each job ended; every event also to `events`, if there is one, as a JSON object a line."""

    def __init__(self, board: Board, at_once: int, events: TextIO | None) -> None:
        self.board = board
        self.at_once = at_once
        self.events = events
        self._said = time.monotonic()

    def tell(self, event: Event) -> None:
        """Take an event in, and show what it says."""
        if not self.board.take(event):
            return
        one = self.board.by_number.get(event.get("job", 0))
        self.emit(event | ({"name": one.job.name} if one else {}))
        if event["event"] == "engine":
            self._say(f"{event['engine']} has started with {event['model']} in {span(event['seconds'])}")
        elif one and event["event"] == "generated":
            self._say(f"{self._place()} {one.job.name}: {_answers(one)}{self._left()}")
            for error in event["errors"]:
                self._say(f"{one.job.name}: {error}; the other tasks went on")
        elif one and event["event"] == "failed":
            self._say(f"{self._place()} {one.job.name}: failed: {event['error']}")
        elif one and event["event"] == "progress" and time.monotonic() - self._said > _SILENCE:
            self._say(f"{self._place()} {one.job.name}: {one.done} of {one.total} answers{self._left()}")

    def emit(self, event: Event) -> None:
        if self.events:
            print(json.dumps(event, ensure_ascii=False), file=self.events, flush=True)

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        say(line)

    def _place(self) -> str:
        ended = sum(one.state in ("generated", "failed") for one in self.board.by_number.values())
        return f"[{ended}/{len(self.board.by_number)}]"

    def _left(self) -> str:
        seconds = self.seconds_left()
        return "" if not seconds else f"; about {span(seconds)} left"

    def seconds_left(self) -> float | None:
        """Of the generate phase: what is missing, at the pace of this sweep's jobs on the same model, or on any.

        None: no job has made answers yet.
        """
        ended = [one for one in self.board.by_number.values() if one.is_answered and one.generated and one.seconds]
        if not ended:
            return None
        seconds = 0.0
        for one in self.board.by_number.values():
            if one.state in ("waiting", "generating"):
                alike = [other for other in ended if other.job.engine_key == one.job.engine_key] or ended
                pace = sum(other.seconds or 0.0 for other in alike) / sum(other.generated for other in alike)
                size = max(other.generated + other.from_store for other in alike)
                seconds += pace * max(0, size - one.done)
        return seconds / self.at_once


def _answers(one: Standing) -> str:
    if not one.generated:
        return f"{one.from_store} answers were there"
    stored = f" ({one.from_store} were there)" if one.from_store else ""
    return f"{one.generated} answers{stored} in {span(one.seconds or 0.0)}"


def counted(number: int, thing: str) -> str:
    """1 job, 2 jobs."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A time for people: 4.2 s, 12 min, 3.5 h."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def is_complete(one: Standing, judges: list[str]) -> bool:
    """Whether a job has all that was asked for."""
    return not one.errors and all(judge in one.records for judge in judges)


def summary(board: Board, again: str) -> str:
    """What each job came to by each judge, what failed, and how to go on."""
    lines = []
    for one in board.by_number.values():
        for path in one.records.values():
            lines.append(f"{one.job.name}  {path}")
            lines += [f"  {line}" for line in results(record.read(Path(path)))]
    failed = [one for one in board.by_number.values() if not is_complete(one, one.job.request.judges())]
    count = len(board.by_number)
    lines.append(
        f"{counted(count, 'job')}, {count - len(failed)} complete, {len(failed)} not; "
        f"{counted(board.engine_starts, 'engine start')}"
    )
    for one in failed:
        lines += [f"failed: {one.job.name}: {error}" for error in one.errors or ["it did not begin"]]
        lines.append(f"  alone: {one.job.command}")
    if failed:
        lines.append(f"put that right; then the same command does what is missing: {again}")
    return "\n".join(lines)


def results(found: RunRecord) -> list[str]:
    """Selectivity of each pair of tasks, and the headline of every other task, over all languages, with intervals."""
    pairs = {name for pair in selectivity.of_record(found) for name in (pair.harmful_task, pair.harmless_task)}
    lines = selectivity.lines(found)
    for task in found.tasks:
        average = task.summary.get("average")
        if task.name in pairs or average is None:
            continue
        judged = "" if task.measures == "utility" else f"; judge {found.judge.id} {found.judge.version}"
        shown = run_table.percent(average, task.is_fraction).replace("\n", " ")
        unit = " %" if task.is_fraction else ""
        codes = " ".join(task.languages)
        lines.append(
            f"{task.name}{judged}; 95 % interval: {task.headline}{unit} {shown}, n {average.n}, mean over {codes}"
        )
    return lines
