"""Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlc_bench.core import secrets

Report = Callable[[int, int], None]  # (done, total)

_LINE_EVERY = 15.0  # seconds


def say(text: str) -> None:
    """One line about what goes on, without what may be secret in it, and whole: a signal may come at any moment."""
    print(f"{secrets.text(text)}\n", end="", file=sys.stderr, flush=True)


class _Speed:
    """Steps a second since the first report; what was done before that one took no time here.

    A phase may count anew (answers, then choices): less done than before, or another total, is another count.
    """

    def __init__(self) -> None:
        self._start, self._first = 0.0, 0
        self._last: tuple[int, int] | None = None

    def __call__(self, done: int, total: int) -> float:
        now = time.monotonic()
        if self._last is None or done < self._last[0] or total != self._last[1]:
            self._start, self._first = now, done
        self._last = done, total
        return (done - self._first) / max(now - self._start, 1e-9)


@contextmanager
def bar(label: str) -> Iterator[Report]:
    """A function `report(done, total)` that shows how far a phase is."""
    if sys.stderr.isatty():
        with _terminal(label) as report:
            yield report
        return
    speed_at = _Speed()
    last = 0.0

    def lines(done: int, total: int) -> None:
        nonlocal last
        speed = speed_at(done, total)
        if done < total and time.monotonic() - last < _LINE_EVERY:
            return
        last = time.monotonic()
        left = f", {(total - done) / speed:.0f} s left" if speed and done < total else ""
        say(f"{label}: {done}/{total} ({speed:.1f}/s{left})")

    yield lines


@contextmanager
def _terminal(label: str) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=None, speed="")
        speed_at = _Speed()

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, speed=f"{speed_at(done, total):.1f}/s")

        yield report
