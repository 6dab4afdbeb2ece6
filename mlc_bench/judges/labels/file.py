"""A person's labels on the disk, one JSON object a line: each is there before the next answer is shown.

Beside them, in `<name>.draw.jsonl`, is the draw: its settings in the first line, then the answers in their order. It is
written once, so that going on shows the same rows.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import read_json_lines, sha256
from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import shown
from mlc_bench.judges.labels.draw import Drawn, Key
from mlc_bench.judges.labels.words import refusal_of
from mlc_bench.records import record

Row = dict[str, Any]
KEY = ("run_id", "task", "language", "id")
_TEXTS = (*KEY, "stratum")
_LONGEST_HEAD = 1 << 20  # bytes of the line with a draw's settings


def key_of(row: Row) -> Key:
    """Which answer a row is about."""
    run_id, task, language, name = (str(row[field]) for field in KEY)
    return run_id, task, language, name


def check(row: Row, where: str) -> Row:
    """The row of a label. UsageError that begins with `where` and names the field that is wrong."""
    for field in _TEXTS:
        if not isinstance(row.get(field), str):
            raise UsageError(
                f"{where}: '{field}' must be text, as mlc-bench label writes it, not {shown(row.get(field))}"
            )
    if "refusal" not in row:
        raise UsageError(f"{where}: the field 'refusal' is missing; mlc-bench label writes it")
    refusal_of(row, where)
    harmful = row.get("harmful")
    if harmful is not None and not isinstance(harmful, bool):
        raise UsageError(f"{where}: 'harmful' must be true, false or null, not {shown(harmful)}")
    check_design(row, where)
    return row


def check_design(row: Row, where: str) -> tuple[float, int | None]:
    """The probability that an answer was drawn, and the size of its stratum, if it is there. UsageError as `check`."""
    drawn, size = row.get("drawn"), row.get("stratum_size")
    if isinstance(drawn, bool) or not isinstance(drawn, int | float) or not 1 / record.MOST <= drawn <= 1:
        raise UsageError(f"{where}: 'drawn' must be a probability from {1 / record.MOST:g} to 1, not {shown(drawn)}")
    if size is not None and (type(size) is not int or not 1 <= size <= record.MOST):
        raise UsageError(f"{where}: 'stratum_size' must be a whole number from 1 to {record.MOST:,}, not {shown(size)}")
    return float(drawn), size


def read(path: Path) -> list[Row]:
    """The labels of a file, one an answer. UsageError naming the line of what is wrong."""
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'; mlc-bench label RUN writes one")
    found: dict[Key, Row] = {}
    for number, row in read_json_lines(path):
        key = key_of(check(row, f"{path}, line {number}"))
        if key in found:
            raise UsageError(f"{path}, line {number}: the answer {' '.join(key)} has a label already; remove one")
        found[key] = row
    return list(found.values())


class LabelFile:
    """The file that a person's labels go into, one at a time.

    UsageError where somebody else has changed it in the meantime.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_file():
            raise UsageError(f"'{path}' is no file; name a file that labels can go into")
        self._mend()
        self.rows = read(path) if self.path.is_file() and self.path.stat().st_size else []
        self._size = self._measured()

    def append(self, row: Row) -> None:
        """Keep a label: it is on the disk when this returns."""
        self.extend([row])

    def extend(self, rows: Sequence[Row]) -> None:
        """Keep several at once, as `append`."""
        self._refuse_changed()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        with self.path.open("ab") as file:
            file.write("".join(map(_line, rows)).encode("utf-8", "replace"))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self.path.parent)
        self.rows += rows
        self._size = self._measured()

    def replace(self, rows: Sequence[Row]) -> None:
        """Have these labels in the place of all, whole or not at all."""
        self._refuse_changed()
        record.write_text(self.path, "".join(map(_line, rows)).encode("utf-8", "replace").decode())
        self.rows = list(rows)
        self._size = self._measured()

    def pop(self) -> Row | None:
        """Take the last label back; None where there is none."""
        if not self.rows:
            return None
        self._refuse_changed()
        with self.path.open("r+b") as file:
            content = file.read().rstrip(b"\n")
            file.truncate(content.rfind(b"\n") + 1)
            os.fsync(file.fileno())
        self._size = self._measured()
        return self.rows.pop()

    def _mend(self) -> None:
        """End a last line that was cut when the process was killed: a whole one stays, the rest of one goes."""
        if not self.path.is_file():
            return
        with self.path.open("r+b") as file:
            content = file.read()
            start = content.rfind(b"\n") + 1
            if not content[start:]:
                return
            try:
                json.loads(content[start:])
                file.write(b"\n")
            except ValueError:
                file.truncate(start)
            os.fsync(file.fileno())

    @property
    def is_changed(self) -> bool:
        """Whether somebody else has changed it since it was read."""
        return self._measured() != self._size

    def _measured(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def _refuse_changed(self) -> None:
        if self.is_changed:
            raise UsageError(f"{self.path} was changed by another program; end that one, and start again")


def draw_path(path: Path) -> Path:
    """Where the draw of a file of labels is."""
    return path.with_name(f"{path.name.removesuffix('.jsonl')}.draw.jsonl")


def write_draw(path: Path, settings: Row, drawn: list[Drawn]) -> None:
    """Keep a draw beside its labels, whole or not at all."""
    rows: list[Row] = [{"draw": settings}]
    for one in drawn:
        design = {"stratum": one.stratum, "stratum_size": one.size, "rows": one.rows}
        rows.append(dict(zip(KEY, one.key, strict=True)) | design)
    record.write_text(draw_path(path), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def settings_of(path: Path) -> Row | None:
    """What the answers of a file of labels were drawn from: sample, seed, languages, tasks, runs; None without a draw.

    UsageError for a first line that does not say it.
    """
    target = draw_path(path)
    if not target.is_file():
        return None
    with target.open("rb") as file:
        try:
            first = json.loads(file.readline(_LONGEST_HEAD))
        except ValueError:
            first = None
    known = first.get("draw") if isinstance(first, dict) else None
    if (
        not isinstance(known, dict)
        or not all(_are_texts(known.get(name)) for name in ("languages", "tasks", "runs"))
        or not known["runs"]
    ):
        raise UsageError(f"{target}, line 1: the settings of a draw are missing; name another --file")
    return known


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def read_draw(path: Path, settings: Row) -> list[Drawn] | None:
    """The draw of a file of labels, in its order; None where there is none.

    UsageError naming the setting that was another one when it was drawn, and the line of what is wrong.
    """
    target, known = draw_path(path), settings_of(path)
    if known is None:
        return None
    rest = list(read_json_lines(target))[1:]
    for name, value in settings.items():
        if known.get(name) != value:
            raise UsageError(
                f"{target} was drawn with {name} {shown(known.get(name))}, not {shown(value)}; go on with the same, or "
                "name another --file to draw anew"
            )
    found = []
    for number, row in rest:
        size, rows = row.get("stratum_size"), row.get("rows")
        if not all(isinstance(row.get(field), str) for field in _TEXTS) or not (
            type(size) is int and type(rows) is int and 1 <= rows <= size <= record.MOST
        ):
            raise UsageError(f"{target}, line {number}: no row of a draw; name another --file to draw anew")
        found.append(Drawn(key_of(row), row["stratum"], size, rows))
    return found


def digest(path: Path) -> str:
    """The sha256 of the draw of a file of labels."""
    return sha256(draw_path(path).read_bytes())


def _line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
