"""The files of finished runs that the index is made of: which there are, and their rows one by one."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from mlc_bench.catalog import limits
from mlc_bench.core import bounded
from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.inside import inside
from mlc_bench.core.names import shown
from mlc_bench.judges import spec
from mlc_bench.records import found, record
from mlc_bench.records.record import RunRecord, TaskResult
from mlc_bench.view import marks
from mlc_bench.view.search import indexed

Row = dict[str, Any]
Part: TypeAlias = tuple[Path, list[Any] | Exception | None]
"""Of which file; some of its rows, or why there are no more, or None at its end."""
MEASURES = ("safety", "over_refusal")
MORE = ("tokens_in", "tokens_out", "truncated", "blocked", "unanswered", "unfinished", "detail")
"""What is kept of a sample besides its texts."""
_as_json = json.JSONEncoder(ensure_ascii=False).encode
_CHUNK = 500  # rows of a part
_LARGEST_LINE = 4 * limits.LARGEST_ROW  # bytes: a character has four at most


@dataclass(frozen=True)
class Files:
    """The folder of one run, with its records: `run.json` first, then one a further judge."""

    folder: Path
    names: tuple[str, ...]

    @property
    def seen(self) -> str:
        """Sizes and times of all that is read of a run; another text means that something has changed."""
        states = [(path, path.stat()) for path in self._paths()]
        return json.dumps([[str(path.relative_to(self.folder)), s.st_size, s.st_mtime_ns] for path, s in states])

    @property
    def size(self) -> int:
        """Bytes of all that is read."""
        return sum(path.stat().st_size for path in self._paths())

    def _paths(self) -> list[Path]:
        paths = [self.folder / name for name in self.names]
        for pattern in ("samples/*.jsonl", "verdicts/*/*.jsonl"):
            paths += sorted(self.folder.glob(pattern))
        return paths

    def records(self) -> list[RunRecord]:
        """The records, one a judge. StaleError for one that cannot be read."""
        by_judge: dict[str, RunRecord] = {}
        for name in self.names:
            one = record.read(self.folder / name)
            by_judge.setdefault(one.judge.id, one)
        return list(by_judge.values())


def runs(paths: Sequence[Path]) -> list[Files]:
    """The runs with samples at or under the paths. UsageError where a path does not exist, and where there is none."""
    folders = {path.parent.resolve(): path.parent for _, path in found.files(paths)}
    made = []
    for folder in folders.values():
        names = sorted(path.name for path in folder.glob("run.*json") if path.is_file())
        if "run.json" in names and (folder / "samples").is_dir():
            rest = tuple(name for name in names if name != "run.json")
            made.append(Files(folder.resolve(), ("run.json", *rest)))
    if not made:
        raise UsageError(f"there is no finished run with samples in {', '.join(map(str, paths))}; name its folder")
    return sorted(made, key=lambda one: str(one.folder))


def judged(one: RunRecord) -> list[TaskResult]:
    """The tasks whose answers have verdicts."""
    return [task for task in one.tasks if task.status == "complete" and task.measures in MEASURES]


def samples_of(folder: Path, task: str) -> Path:
    """The file of a task's answers in a run's folder. UsageError for one outside the folder."""
    return inside(folder, f"samples/{task}.jsonl", "the samples")


def verdicts_of(folder: Path, one: RunRecord, task: str) -> Path:
    """The file with what a record's judge says of them. As `samples_of`."""
    return inside(folder, f"verdicts/{spec.slug(one.judge.id)}/{task}.jsonl", "the verdicts")


def read(runs: Sequence[Files]) -> Iterator[Part]:
    """The rows of all files of the runs: of each run the samples of all its tasks, then each judge's verdicts."""
    for run in runs:
        try:
            records = run.records()
            tasks = [task.name for task in judged(records[0])]
            paths: list[tuple[Callable[[Path], Iterator[Any]], Path]] = []
            paths += [(samples, samples_of(run.folder, task)) for task in tasks]
            paths += [(verdicts, verdicts_of(run.folder, one, task)) for one in records for task in tasks]
        except UserError:  # the index finds the same, and says so
            continue
        for make, path in paths:
            try:
                rows = make(path)
                while chunk := list(islice(rows, _CHUNK)):
                    yield path, chunk
                yield path, None
            except (OSError, UserError) as error:
                yield path, error


class Sample(NamedTuple):
    """One saved answer, checked: `category` is empty where there is none, `more` is JSON; `words` go into the index."""

    language: str
    id: str
    category: str
    is_cut: bool
    prompt: str
    response: str
    thinking: str
    more: str
    words: tuple[str, str, str]


def samples(path: Path) -> Iterator[Sample]:
    """The answers of a file of samples. UsageError naming the line of what is none."""
    for number, row, _ in _rows(path):
        prompt, response, thinking = (row.get(key) for key in ("prompt", "response", "thinking"))
        if not isinstance(prompt, str):
            raise UsageError(f"{path}, line {number}: 'prompt' must be text; make the run anew")
        response = response if isinstance(response, str) else ""  # of a prompt that the provider blocked
        thinking = thinking if isinstance(thinking, str) else ""
        category = row.get("category")
        yield Sample(
            language=row["language"],
            id=str(row["id"]),
            category=category if isinstance(category, str) else "",
            is_cut=row.get("truncated") is True or row.get("unfinished") == "cut-while-thinking",
            prompt=prompt,
            response=response,
            thinking=thinking,
            more=_as_json({key: row[key] for key in MORE if row.get(key) is not None}),
            words=(indexed(prompt), indexed(response), indexed(thinking)),
        )


def verdicts(path: Path) -> Iterator[tuple[str, str, int, list[int], str]]:
    """(language, id, bits, bits of an ensemble's members, the row as JSON) of a file of verdicts. As `samples`."""
    for _, row, text in _rows(path):
        language = row["language"]
        yield language, str(row["id"]), marks.own(row, language), marks.votes(row, language), text


def _rows(path: Path) -> Iterator[tuple[int, Row, str]]:
    """(number of the line, row, its text), one in memory at a time; `id` and `language` are there."""
    bounded.check_size(path)
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LARGEST_LINE + 1), b""), 1):
            if line.isspace():
                continue
            if len(line) > _LARGEST_LINE:
                raise UsageError(f"{path}, line {number}: more than {_LARGEST_LINE:,} bytes in a row")
            try:
                row, text = _parsed(line)
            except (ValueError, RecursionError) as error:
                said = shown(str(error))
                raise UsageError(f"{path}, line {number}: not JSON that can be read ({said})") from None
            if not isinstance(row, dict):
                raise UsageError(f"{path}, line {number}: a JSON object is expected")
            if not isinstance(row.get("language"), str) or not isinstance(row.get("id"), str | int):
                raise UsageError(f"{path}, line {number}: 'id' and 'language' must be there; make the run anew")
            yield number, row, text


def _parsed(line: bytes) -> tuple[Any, str]:
    text = line.decode()
    if "\\u" in text and ("\\ud" in text or "\\uD" in text):  # perhaps half a pair, which is no text
        text = _as_json(json.loads(text)).encode("utf-8", "replace").decode()
    return json.loads(text), text.strip()
