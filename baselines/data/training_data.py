"""Training data: rows of one shape from files of any format (see `formats`), and what is checked and left out."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mlc_bench.baselines.data import tokenize_rows
from mlc_bench.baselines.data.formats import PIVOT, Row, parse
from mlc_bench.catalog import data as task_data
from mlc_bench.catalog import listing, reading
from mlc_bench.catalog.reading import files, read_json_lines
from mlc_bench.contribute.overlap import Index, normalise
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.spec import digest

_TABLES = (".csv", ".tsv", ".tab", ".xlsx")
EMBEDDED = Path(__file__).resolve().parent / "embedded"


@dataclass(frozen=True)
class TrainingData:
    """Rows, where they came from, and how many were left out and why."""

    rows: list[Row]
    files: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> rows (or, where the reason says so, translations) that were left out."""
    overlap: dict[str, dict[str, int]] = field(default_factory=dict)
    """Test task -> language -> prompts of these rows that are also in that task."""

    @property
    def fingerprint(self) -> str:
        """sha256 of the rows, independent of the format and the order of keys that they came in."""
        return digest(self.rows)

    def without(self, reason: str, kept: list[Row], count: int | None = None) -> "TrainingData":
        """The same with `kept` as its rows; what is missing is counted under `reason`."""
        lost = len(self.rows) - len(kept) if count is None else count
        counts = Counter(self.dropped) + Counter({reason: lost})
        return replace(self, rows=kept, dropped=dict(counts))


def load(names: Iterable[str | Path]) -> TrainingData:
    """Read files (of any format that `catalog.reading` knows), data sets of the hub, or 'embedded' for our own set.

    Raises UsageError naming file and row for what is wrong in a row (rows count from 1; in JSON lines they are lines),
    PrerequisiteError for a file that is not there.
    """
    rows: list[Row] = []
    dropped: Counter[str] = Counter()
    files: list[str] = []
    seen: dict[str, str] = {}
    names = list(names)
    stems = Counter(Path(name).stem for name in dict.fromkeys(map(str, names)))
    for name in names:
        for where, raw in _raw_rows(name):
            row = parse(where, raw)
            if row is None:
                dropped["no second language"] += 1
                continue
            if raw.get("id") in (None, "") and stems[Path(name).stem] > 1:  # a/x.jsonl and b/x.jsonl
                row["id"] = where
            if row["id"] in seen:
                raise UsageError(f"{where}: the id '{row['id']}' is already that of {seen[row['id']]}")
            seen[row["id"]] = where
            if row["chosen"] is not None and normalise(row["chosen"]) == normalise(row["prompts"][PIVOT]):
                dropped["response repeats the prompt"] += 1
                continue
            rows.append(row)
        files.append(str(name))
    if not rows:
        raise UsageError("the training data has no rows" + (f" ({_counts(dropped)})" if dropped else ""))
    return TrainingData(rows, files, dict(dropped))


def _counts(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in dropped.items())


def _raw_rows(name: str | Path) -> Iterable[tuple[str, dict[str, Any]]]:
    """Each row with the words that say where it is."""
    if name == "embedded":
        for path in sorted(EMBEDDED.glob("*.jsonl")):
            yield from ((f"{path.name}, row {number}", row) for number, row in read_json_lines(path))
        return
    path = Path(name)
    if not path.is_file():
        yield from ((f"{name}, row {number}", row) for number, row in enumerate(_of_hub(str(name)), 1))
        return
    is_table = path.name.lower().removesuffix(".gz").endswith(_TABLES)
    for place, row in reading.parse(path, files.content(path)).rows:
        given = {column: _cell(value) for column, value in row.items()} if is_table else row
        yield f"{name}, row {place.rpartition(' ')[2]}", given


def _cell(value: Any) -> Any:
    """A cell of a table, where an empty one is a missing one, and chats are written as JSON."""
    return (reading.inside(value) if isinstance(value, str) else value) or None


def _of_hub(name: str) -> Iterable[dict[str, Any]]:
    import datasets

    try:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.endswith(reading.SUFFIXES):
            raise FileNotFoundError
        return datasets.load_dataset(name, split="train")
    except Exception as error:  # no network, no such name, damaged: the remedy is the same
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}"
        raise PrerequisiteError(
            f"cannot read the training data '{name}' ({why}); name a file, a data set of the hub, or 'embedded'"
        ) from None


def require(
    data: TrainingData,
    method: str,
    *,
    chosen: bool = True,
    rejected: bool = False,
    responses: bool = False,
    languages_per_row: int = 1,
) -> None:
    """Check that every row has what a method trains on. Raises UsageError naming the first row that has not."""
    for row in data.rows:
        if chosen and row["chosen"] is None:
            raise UsageError(f"row '{row['id']}' has no 'chosen' response, which {method} learns")
        if rejected and row["rejected"] is None:
            raise UsageError(f"row '{row['id']}' has no 'rejected' response, and {method} needs pairs")
        if len(row["prompts"]) < languages_per_row:
            raise UsageError(
                f"row '{row['id']}' has its prompt in {', '.join(row['prompts'])} only; {method} needs "
                f"{languages_per_row} languages or more in each row"
            )
        if responses and row["responses"] is None:
            raise UsageError(
                f"row '{row['id']}' has no 'responses' in other languages, which {method} learns from; "
                "build them first (train-baseline build --help)"
            )
        for code, pair in (row["responses"] or {}).items() if responses and rejected else ():
            if pair["rejected"] is None:
                raise UsageError(f"row '{row['id']}' has no 'rejected' response in '{code}', and {method} needs pairs")


def spoken(rows: Iterable[Row]) -> list[str]:
    """The languages of the prompts."""
    return sorted({code for row in rows for code in row["prompts"]})


def require_languages(data: TrainingData, codes: Iterable[str] | None) -> None:
    """Raises UsageError for a language that no prompt is in. None: no languages were chosen."""
    known = spoken(data.rows)
    for code in codes or ():
        if code not in known:
            raise UsageError(f"languages: the data has no prompt in '{code}'; it has {', '.join(known)}")


def without_test_prompts(data: TrainingData, tasks: Iterable[str]) -> TrainingData:
    """Leave out rows of which a prompt, in any language, is also in one of the tasks; `overlap` then says how many.

    Every prompt of a row is compared with the prompts of all languages of a task, whatever language it is said to be
    in; `overlap` names the test's language.

    Exactly, but for spelling, or nearly so: see mlc_bench.contribute.overlap. Raises PrerequisiteError where a task's
    data is absent, UsageError where nothing is left.
    """
    found: set[int] = set()
    overlap: dict[str, dict[str, int]] = {}
    for entry in listing.select(list(tasks)):
        for code, documents in task_data.read(entry.source).items():
            tested = Index([document["prompt"] for document in documents])
            same = {
                number for number, row in enumerate(data.rows) if any(map(tested.kind, set(row["prompts"].values())))
            }
            if same:
                overlap.setdefault(entry.name, {})[code] = len(same)
                found |= same
    kept = [row for number, row in enumerate(data.rows) if number not in found]
    if not kept:
        raise UsageError(f"every training prompt is also in a test task ({', '.join(overlap)}); train on other data")
    return replace(data.without("is in a test task", kept), overlap=overlap)


def fitting(data: TrainingData, length: Callable[[str], int], cutoff: int) -> TrainingData:
    """Leave out what is too long: never cut, since the end of an encoded prompt is the chat template's tail.

    `length(prompt)` gives the tokens of a prompt in its chat template. A row whose English prompt has more than
    `cutoff` goes; of other rows only the translations that are too long, with their responses. Raises UsageError where
    nothing is left.
    """
    kept: list[Row] = []
    translations = 0
    for row in data.rows:
        too_long = {code for code, prompt in row["prompts"].items() if length(prompt) > cutoff}
        if PIVOT in too_long:
            continue
        if too_long:
            translations += len(too_long)
            row = _without_languages(row, too_long)
        kept.append(row)
    if not kept:
        raise UsageError(f"no prompt fits into the cut-off of {cutoff} tokens; raise it")
    fitted = data.without(f"prompt longer than {cutoff} tokens", kept)
    return fitted.without(f"translation longer than {cutoff} tokens", kept, translations)


def _without_languages(row: Row, codes: set[str]) -> Row:
    rest = row.copy()
    rest["prompts"] = {code: text for code, text in row["prompts"].items() if code not in codes}
    if row["responses"] is not None:
        rest["responses"] = {code: pair for code, pair in row["responses"].items() if code not in codes}
    return rest


def prompt_length(tokenizer: Any) -> Callable[[str], int]:
    """`length` for `fitting`: tokens of a user's turn in the tokenizer's chat template, generation prompt included."""

    def length(prompt: str) -> int:
        return len(tokenize_rows.prompt_ids(tokenizer, prompt))

    return length
