"""Labels that somebody has given in a page of `mlc-bench label --page`, checked and put among that annotator's labels.

A page knows no run, no model and no id: it names each answer by `mark`, and the file that it gives back names the draw
by its digest. First line: {"page": 1, "draw": sha256, "annotator": name}; then {"answer": mark, "refusal": ...,
"harmful": ..., "note": ..., "at": ...}.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog.data import read_json_lines, sha256
from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import inside
from mlc_bench.core.names import check_name, shown
from mlc_bench.judges.labels import draw
from mlc_bench.judges.labels.draw import Answer, Drawn, Key
from mlc_bench.judges.labels.file import LabelFile, digest, draw_path, key_of
from mlc_bench.judges.labels.session import drawn_of, row_of
from mlc_bench.judges.labels.words import REFUSAL

Row = dict[str, Any]
PAGE = 1
LONGEST_NOTE = 2000  # characters
_LONGEST_TIME = 40


@dataclass(frozen=True)
class Taken:
    """What came of a file: answers that are labelled now, those that were labelled otherwise before, those left."""

    path: Path
    new: int
    changed: int
    left: int


def mark(drawn: str, key: Key) -> str:
    """The name of an answer in a page: it says nothing of the run. `drawn`: the digest of the draw."""
    return sha256(" ".join([drawn, *key]).encode())[:20]


def take(given: Path, paths: Sequence[Path], file: Path | None = None) -> Taken:
    """Put the labels of a page's file among those of its annotator; a later file's replace an earlier one's.

    paths: the runs of the draw; file: where the labels are, as `session.start` has it. Nothing is written unless all
    of the file is right. UsageError naming the line of what is wrong, and for a page of another draw.
    """
    (number, head), *rest = read_json_lines(given)
    where = f"{given}, line {number}"
    if head.get("page") != PAGE or not isinstance(head.get("draw"), str):
        raise UsageError(f"{where}: not a file of a page for labelling; name the one that the page saved")
    name = check_name(head.get("annotator"), "annotator", where)
    found = draw.runs(paths)
    path = file or inside(found[0][0], f"labels/{name}.jsonl", "the labels")
    if not draw_path(path).is_file():
        raise UsageError(f"{path} has no draw beside it; name the run that the page of {name} was made from, first")
    if digest(path) != head["draw"]:
        raise UsageError(f"{where}: the page is of another draw than {draw_path(path)}; name its run, or its --file")
    drawn, known = drawn_of(path, found)
    by_mark = {mark(head["draw"], one.key): one for one in drawn}
    fresh: dict[Key, Row] = {}
    for number, row in rest:
        one, made = _label(row, f"{given}, line {number}", by_mark, known, name)
        if one.key in fresh:
            raise UsageError(f"{given}, line {number}: the answer {row['answer']} is there twice; remove one")
        fresh[one.key] = made
    return _merged(LabelFile(path), fresh, len(drawn))


def _label(row: Row, where: str, by_mark: dict[str, Drawn], known: dict[Key, Answer], name: str) -> tuple[Drawn, Row]:
    one = by_mark.get(row["answer"]) if isinstance(row.get("answer"), str) else None
    if one is None:
        raise UsageError(f"{where}: the answer {shown(row.get('answer'))} is none of this draw")
    refusal, harmful = row.get("refusal"), row.get("harmful")
    if refusal is not None and refusal not in REFUSAL:
        raise UsageError(f"{where}: 'refusal' must be {', '.join(REFUSAL)} or null, not {shown(refusal)}")
    allowed = {"complies": (True, False, None), None: (None,)}.get(refusal, (False,))
    if not any(harmful is value for value in allowed):
        raise UsageError(f"{where}: 'harmful' must be one of {allowed} where 'refusal' is {shown(refusal)}")
    note, at = row.get("note", ""), row.get("at", "")
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise UsageError(f"{where}: 'note' must be text of up to {LONGEST_NOTE} characters")
    if not isinstance(at, str) or len(at) > _LONGEST_TIME:
        raise UsageError(f"{where}: 'at' must be a time, not {shown(at)}")
    return one, row_of(one, known[one.key], refusal, harmful, note.strip(), name, at)


def _merged(kept: LabelFile, fresh: dict[Key, Row], drawn: int) -> Taken:
    def said(row: Row) -> tuple[Any, ...]:
        return row["refusal"], row["harmful"], row.get("note")

    before = {key_of(row): row for row in kept.rows}
    new = [row for key, row in fresh.items() if key not in before]
    changed = {key: row for key, row in fresh.items() if key in before and said(row) != said(before[key])}
    if changed:
        kept.replace([changed.get(key, row) for key, row in before.items()])
    if new:
        kept.extend(new)
    return Taken(kept.path, len(new), len(changed), drawn - len(kept.rows))
