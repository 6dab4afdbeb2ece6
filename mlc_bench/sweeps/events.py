"""What workers report: a file of JSON lines for each of them, beside the results, so that it reaches other machines.

Each line has `event`, `id`, `job` (its number, where it is about one) and what belongs to the event. No prompt and no
answer is among it.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc_bench.core import secrets
from mlc_bench.core.progress import Report

Event = dict[str, Any]
_EVERY = 1.0  # seconds between two lines on how far a job is


class Writer:
    """Appends events to a worker's file; `emit` raises OSError where it cannot."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: list[Event] = []
        """All but those on how far a job is."""
        self._id, self._count = uuid.uuid4().hex[:12], 0

    def emit(self, event: str, **content: Any) -> None:
        self._count += 1
        made = {"event": event, "id": f"{self._id}-{self._count}"} | secrets.removed(content)
        if event != "progress":
            self.kept.append(made)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(made, ensure_ascii=False)}\n")

    @contextlib.contextmanager
    def progress(self, job: int) -> Iterator[Report]:
        """A report that emits how far a job is, once a second at most."""
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= _EVERY:
                last = time.monotonic()
                self.emit("progress", job=job, done=done, total=total)

        yield report


class Reader:
    """Gives what has been appended to files since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read_to: dict[Path, int] = {}

    def new(self) -> list[Event]:
        """Whole lines only, those of one file in their order."""
        found = []
        for path in sorted(self.folder.glob("*.events.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read_to.get(path, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read_to[path] = self._read_to.get(path, 0) + len(whole)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):  # torn by a kill, and closed by the next writer's line
                    found.append(json.loads(line))
        return found
