"""What two people say of the same answers as one file of labels: where they agree, else by a third word.

The file is `<first>+<second>.jsonl` beside the two, with the draw of both, and of the same kind: `mlc-bench calibrate`
takes it. What one of the two skipped is what the other says.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlc_bench.core.errors import UsageError
from mlc_bench.judges.labels.agreement import differ
from mlc_bench.judges.labels.draw import Key
from mlc_bench.judges.labels.file import LabelFile, key_of, read, settings_of, write_draw
from mlc_bench.judges.labels.session import Session, drawn_of
from mlc_bench.records.record import RunRecord

Row = dict[str, Any]


def settled_path(first: Path, second: Path) -> Path:
    """Where the labels are on which two people have agreed; the same for both orders of the two."""
    one, other = sorted((first, second))
    return one.with_name(f"{one.stem}+{other.stem}.jsonl")


class Settling:
    """`session` asks about the answers that two people label differently; `said(key)`: what each says of one."""

    def __init__(self, first: Path, second: Path, found: Sequence[tuple[Path, RunRecord]]) -> None:
        """`found`: the runs of the draw. UsageError for two draws, and for labels that share no answer."""
        first, second = sorted((first, second))
        settings = settings_of(first)
        if settings is None or settings != settings_of(second):
            raise UsageError(f"{first} and {second} are of different draws; label the same answers to settle them")
        drawn, known = drawn_of(first, found)
        self.names = (first.stem, second.stem)
        self._said = [{key_of(row): row for row in read(path)} for path in (first, second)]
        ours, theirs = self._said
        shared = [one for one in drawn if one.key in ours and one.key in theirs]
        if not shared:
            raise UsageError(f"{first} and {second} share no labelled answer; go on with either")
        path = settled_path(first, second)
        if not path.exists():
            write_draw(path, settings, drawn)
        file = LabelFile(path)
        have = {key_of(row) for row in file.rows}
        agreed = {one.key for one in shared if not differ(ours[one.key], theirs[one.key])}
        if fresh := [self._both(one.key) for one in shared if one.key in agreed and one.key not in have]:
            file.extend(fresh)
        asked = [one for one in drawn if one.key in have or (one.key in ours and one.key in theirs)]
        self.session = Session(asked, known, path, path.stem, agreed)

    def said(self, key: Key) -> tuple[Row, Row]:
        """The labels that the two gave to an answer that was theirs to settle."""
        ours, theirs = self._said
        return ours.get(key, {}), theirs.get(key, {})

    def _both(self, key: Key) -> Row:
        """The label on which both agree."""
        one, other = self.said(key)
        base = other if one["refusal"] is None else one
        harmful = other["harmful"] if base["harmful"] is None and base is one else base["harmful"]
        notes = " / ".join(dict.fromkeys(filter(None, (str(row.get("note") or "") for row in (one, other)))))
        at = datetime.now(UTC).isoformat(timespec="seconds")
        return base | {"harmful": harmful, "note": notes, "annotator": "+".join(self.names), "at": at}
