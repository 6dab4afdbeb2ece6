"""Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[[int, int], None]  # (done, total)

_LINE_EVERY = 15.0  # seconds


def say(text: str) -> None:
    """One line about what goes on."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def bar(label: str) -> Iterator[Report]:
    """A function `report(done, total)` that shows how far a phase is."""
    if sys.stderr.isatty():
        with _terminal(label) as report:
            yield report
        return
    start = time.monotonic()
    last = 0.0
    first: int | None = None

    def lines(done: int, total: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = done if first is None else first
        if done < total and now - last < _LINE_EVERY:
            return
        last = now
        speed = (done - first) / (now - start) if now > start else 0.0
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
        start = time.monotonic()
        first: int | None = None

        def report(done: int, total: int) -> None:
            nonlocal first
            first = done if first is None else first
            speed = (done - first) / max(time.monotonic() - start, 1e-9)
            progress.update(task, completed=done, total=total, speed=f"{speed:.1f}/s")

        yield report
