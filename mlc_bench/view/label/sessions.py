"""Who labels what: the files of labels in the folders of the runs that the viewer shows, and those open now."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.names import is_name
from mlc_bench.core.spec import digest
from mlc_bench.judges.labels import draw, session
from mlc_bench.judges.labels.file import draw_path, settings_of
from mlc_bench.judges.labels.session import Session
from mlc_bench.judges.labels.settle import Settling, settled_path
from mlc_bench.records.record import RunRecord
from mlc_bench.view.contents import Contents, Run

Row = dict[str, Any]


@dataclass(frozen=True)
class Begun:
    """A file of labels with its draw. `name` is its name in addresses: it says nothing of a run or model."""

    name: str
    path: Path
    annotator: str
    settings: Row
    runs: tuple[Run, ...]
    """Those of the draw; the first is the one that has the file in its folder."""
    labelled: int
    drawn: int

    @property
    def left(self) -> int:
        return self.drawn - self.labelled


@dataclass(frozen=True)
class Draw:
    """The files of labels of one draw; `settled`: on which two of the people have agreed."""

    people: tuple[Begun, ...]
    settled: tuple[Begun, ...]

    @property
    def pairs(self) -> list[tuple[Begun, Begun]]:
        """Each two people who have both begun to label."""
        return list(combinations([one for one in self.people if one.labelled], 2))


class Sessions:
    """The labelling of a viewer's runs. One thread at a time: take `lock` around what asks and what labels."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.lock = threading.RLock()
        self._open: dict[str, Session] = {}
        self._settling: dict[str, Settling] = {}

    def begun(self) -> list[Begun]:
        """All files of labels whose runs are all here. What is no draw is left out."""
        found = []
        for run in self.contents.runs.values():
            for target in sorted(Path(run.folder).glob("labels/*.draw.jsonl")):
                path = target.with_name(target.name.removesuffix(".draw.jsonl") + ".jsonl")
                if target.resolve().is_relative_to(Path(run.folder).resolve()) and is_name(path.stem):
                    found += self._read(run, path)
        return found

    def _read(self, holder: Run, path: Path) -> list[Begun]:
        try:
            settings = settings_of(path) or {"runs": []}
        except UserError:
            return []
        runs = [self.contents.runs.get(name) for name in settings["runs"]]
        known = [run for run in runs if run is not None]
        if len(known) < len(runs) or holder not in known:
            return []
        runs_from = (holder, *(run for run in known if run is not holder))
        name = digest([holder.name, path.stem])[:16]
        labelled = path.read_bytes().count(b"\n") if path.is_file() else 0
        drawn = draw_path(path).read_bytes().count(b"\n") - 1
        return [Begun(name, path, path.stem, settings, runs_from, labelled, drawn)]

    def draws(self) -> list[Draw]:
        """What was begun, by draw: same folder, same settings."""
        groups: dict[str, list[Begun]] = {}
        for one in self.begun():
            groups.setdefault(digest([str(one.path.parent), one.settings]), []).append(one)
        return [_draw(group) for group in groups.values()]

    def named(self, name: str) -> Begun:
        """What was begun, by its name in addresses. UsageError for what is not there."""
        found = next((one for one in self.begun() if one.name == name), None)
        if found is None:
            raise UsageError("there is no such labelling here; begin one")
        return found

    def opened(self, one: Begun) -> Session:
        """The session of a file of labels, as the file is now. Errors as `session.resume`, and as `Settling`."""
        if (known := self._open.get(one.name)) is None or known.file.is_changed:
            found = self.records(one.runs)
            if (pair := self._pair(one)) is not None:
                self._settling[one.name] = Settling(*pair, found)
                self._open[one.name] = self._settling[one.name].session
            else:
                self._open[one.name] = session.resume(one.path, found, one.annotator)
        return self._open[one.name]

    def close(self, name: str) -> None:
        """Read the file anew when it is asked for next: somebody else may have changed it."""
        self._open.pop(name, None)
        self._settling.pop(name, None)

    def said(self, one: Begun) -> list[tuple[str, Row]]:
        """What each of two people says of the answer that is shown, where it is theirs to settle."""
        settling = self._settling.get(one.name)
        if settling is None or not settling.session.left:
            return []
        return list(zip(settling.names, settling.said(settling.session.key), strict=True))

    def begin(self, runs: Sequence[Run], annotator: str, **settings: Any) -> Begun:
        """Draw, or find the draw that is there. Errors as `session.start`."""
        made = session.start([Path(run.folder) for run in runs], annotator=annotator, **settings)
        name = digest([runs[0].name, made.file.path.stem])[:16]
        self.close(name)
        self._open[name] = made
        return self.named(name)

    def join(self, one: Begun, annotator: str) -> Begun:
        """Another person on the same draw. Errors as `session.start`."""
        keys = ("sample", "seed", "languages", "tasks")
        return self.begin(one.runs, annotator, **{key: one.settings[key] for key in keys if key in one.settings})

    def settle(self, first: Begun, second: Begun) -> Begun:
        """The labels on which two people agree, and a session over the others. Errors as `Settling`."""
        Settling(first.path, second.path, self.records(first.runs))
        path = settled_path(first.path, second.path)
        name = digest([first.runs[0].name, path.stem])[:16]
        self.close(name)
        return self.named(name)

    def records(self, runs: Sequence[Run]) -> list[tuple[Path, RunRecord]]:
        """The folders and records of runs."""
        return draw.runs([Path(run.folder) for run in runs])

    def _pair(self, one: Begun) -> tuple[Path, Path] | None:
        """The two files that a settled one is made of; None for that of one person."""
        return next(
            (
                (first.path, second.path)
                for group in self.draws()
                for first, second in combinations(group.people, 2)
                if settled_path(first.path, second.path) == one.path
            ),
            None,
        )


def _draw(group: list[Begun]) -> Draw:
    names = {f"{a.annotator}+{b.annotator}" for a, b in combinations(sorted(group, key=lambda one: one.path), 2)}
    people = [one for one in group if one.annotator not in names]
    return Draw(tuple(people), tuple(one for one in group if one.annotator in names))
