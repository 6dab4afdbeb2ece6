"""Training data: the formats of the MLC and MPO repositories and a plain schema of our own, all as rows of one shape.

Our own schema is JSON lines with `id`, `prompts` ({language code: text}, English among them), `chosen` and `rejected`
(English responses), optional `responses` ({language code: {chosen, rejected}}) and `kind` (harmful or benign); see
docs/training.md. Languages are those of mlc_bench/languages; nothing here lists them.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from mlc_bench import catalog, languages
from mlc_bench import data as task_data
from mlc_bench.data import decode, read_json_lines
from mlc_bench.errors import PrerequisiteError, UsageError
from mlc_bench.overlap import Index, normalise
from mlc_bench.spec import digest

EMBEDDED = Path(__file__).resolve().parent / "data"
PIVOT = "en"  # the language that is aligned, and that chosen and rejected are written in


class Pair(TypedDict):
    """The two responses of one language. Supervised data may have no rejected one."""

    chosen: str
    rejected: str | None


class Row(TypedDict):
    """One prompt and its translations, with what to answer and what not to.

    `chosen` and `rejected` are English; None where the data has none (a method that needs them says so, see `require`).
    """

    id: str
    prompts: dict[str, str]
    chosen: str | None
    rejected: str | None
    responses: dict[str, Pair] | None
    kind: Literal["harmful", "benign"]
    category: NotRequired[str]


@dataclass(frozen=True)
class TrainingData:
    """Rows, where they came from, and how many were left out and why."""

    rows: list[Row]
    files: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason -> rows (or, where the reason says so, translations) that were left out."""
    overlap: dict[str, dict[str, int]] = field(default_factory=dict)
    """Test task -> language -> prompts of these rows that also stand in that task."""

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
    """Read files (JSON lines, a JSON list, parquet), data sets of the hub, or 'embedded' for the set that we ship.

    Raises UsageError naming file and row for what is wrong in a row (rows count from 1; in JSON lines they are lines),
    PrerequisiteError for a file that is not there.
    """
    rows: list[Row] = []
    dropped: Counter[str] = Counter()
    files: list[str] = []
    seen: dict[str, str] = {}
    for name in names:
        for where, raw in _raw_rows(name):
            row = _parse(where, raw)
            if row is None:
                dropped["no second language"] += 1
                continue
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
    """Each row with the words that say where it stands."""
    if name == "embedded":
        for path in sorted(EMBEDDED.glob("*.jsonl")):
            yield from ((f"{path.name}, row {number}", row) for number, row in read_json_lines(path))
        return
    path = Path(name)
    if not path.is_file():
        yield from ((f"{name}, row {number}", row) for number, row in enumerate(_with_datasets(name), 1))
    elif path.suffix == ".json":
        yield from ((f"{name}, row {number}", row) for number, row in enumerate(_json_list(path), 1))
    elif path.suffix == ".parquet":
        yield from ((f"{name}, row {number}", row) for number, row in enumerate(_with_datasets(name), 1))
    else:
        yield from ((f"{name}, row {number}", row) for number, row in read_json_lines(path))


def _json_list(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(decode(path))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: a JSON list of objects is expected; for one object a line, name the file .jsonl")
    return rows


def _with_datasets(name: str | Path) -> Iterable[dict[str, Any]]:
    import datasets

    try:
        if str(name).endswith(".parquet"):
            return datasets.load_dataset("parquet", data_files=str(name), split="train")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)) or str(name).endswith((".json", ".jsonl")):
            raise FileNotFoundError
        return datasets.load_dataset(str(name), split="train")
    except Exception as error:  # no network, no such name, damaged: the remedy is the same
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}"
        raise PrerequisiteError(
            f"cannot read the training data '{name}' ({why}); name a file, a data set of the hub, or 'embedded'"
        ) from None


def _parse(where: str, raw: dict[str, Any]) -> Row | None:
    """One row of any known format. None for an MPO row whose target is not another language than English."""
    if "prompts" in raw:
        return _plain(where, raw)
    if "source_conversations" in raw:
        return _mpo(where, raw)
    if "instruction" in raw:
        prompt = raw["instruction"]
        if raw.get("input"):
            prompt = f"{prompt}\n{raw['input']}"
        return _mlc(where, raw | {"prompt": prompt}, chosen=_theirs(where, raw, "output"), rejected=None)
    if "prompt" in raw:
        return _mlc(where, raw, _theirs(where, raw, "chosen"), _theirs(where, raw, "rejected"))
    raise UsageError(
        f"{where}: no known format; a row has 'prompts' (our schema), 'prompt' or 'instruction' (MLC), or "
        f"'source_conversations' (MPO), and this one has {', '.join(map(str, raw)) or 'nothing'}"
    )


def _plain(where: str, raw: dict[str, Any]) -> Row:
    known = set(Row.__annotations__)
    if extra := sorted(set(raw) - known):
        raise UsageError(f"{where}: unknown column '{extra[0]}'; known: {', '.join(sorted(known))}")
    if not isinstance(raw["prompts"], dict):
        raise UsageError(f"{where}: 'prompts' must map language codes to texts")
    if raw.get("kind") not in ("harmful", "benign"):
        raise UsageError(f"{where}: 'kind' must be harmful or benign")
    responses = None
    if raw.get("responses") is not None:
        if not isinstance(raw["responses"], dict):
            raise UsageError(f"{where}: 'responses' must map language codes to {{chosen, rejected}}")
        responses = {_language(where, code): _pair(where, code, pair) for code, pair in raw["responses"].items()}
    row = Row(
        id=str(raw["id"]) if raw.get("id") not in (None, "") else _missing(where, "id"),
        prompts=_prompts(where, raw["prompts"]),
        chosen=_text(where, raw, "chosen", optional=True),
        rejected=_text(where, raw, "rejected", optional=True),
        responses=responses,
        kind=raw["kind"],
    )
    if raw.get("category"):
        row["category"] = str(raw["category"])
    for code in responses or {}:
        if code not in row["prompts"]:
            raise UsageError(f"{where}: responses in '{code}', but no prompt in '{code}'")
    return row


def _mlc(where: str, raw: dict[str, Any], chosen: str | None, rejected: str | None) -> Row:
    """A row of the MLC repository: `prompt` and `prompt_<code>`, as text or as chat turns; responses in English."""
    prompts = {PIVOT: raw["prompt"]}
    for column, value in raw.items():
        if column.startswith("prompt_"):
            prompts[_language(f"{where}, column '{column}'", column.removeprefix("prompt_"))] = value
    return Row(
        id=str(raw.get("id") or _id(where)),
        prompts=_prompts(where, prompts),
        chosen=chosen,
        rejected=rejected,
        responses=None,
        kind="harmful",  # PKU-SafeRLHF
    )


def _mpo(where: str, raw: dict[str, Any]) -> Row | None:
    """A row of the MPO repository: a pair in English and its translation into a language that the file does not name.

    A part of the translations there is English still, so the language is that of the first part that is not.
    """
    from mlc_bench.judges import langid

    parts = {
        f"{side}_{part}": _theirs(where, raw, f"{side}_{part}")
        for side in ("source", "target")
        for part in ("conversations", "chosen", "rejected")
    }
    target = [parts[f"target_{part}"] or "" for part in ("conversations", "chosen", "rejected")]
    spoken = [code for code in map(langid.identify, target) if code in languages.known() and code != PIVOT]
    if not spoken:
        return None
    code = spoken[0]
    return Row(
        id=str(raw.get("id") or _id(where)),
        prompts=_prompts(where, {PIVOT: parts["source_conversations"], code: target[0]}),
        chosen=parts["source_chosen"],
        rejected=parts["source_rejected"],
        responses={code: Pair(chosen=target[1], rejected=target[2])} if target[1] else None,
        kind="harmful",
    )


def _id(where: str) -> str:
    """An id for a row that has none: file and row number, so that later messages still say where to look."""
    name, _, number = where.rpartition(", row ")
    return f"{Path(name).stem}-{number}"


def _prompts(where: str, prompts: dict[str, Any]) -> dict[str, str]:
    """Checked prompts by language. A translation that is null is missing; an empty one is an error."""
    checked = {}
    for code, value in prompts.items():
        if value is None and code != PIVOT:
            continue
        text = _as_text(value)
        if not text:
            raise UsageError(f"{where}: the prompt in '{code}' is empty or not text")
        checked[_language(where, code)] = text
    if PIVOT not in checked:
        raise UsageError(f"{where}: no prompt in '{PIVOT}'")
    return checked


def _pair(where: str, code: str, pair: Any) -> Pair:
    if not isinstance(pair, dict):
        raise UsageError(f"{where}: the responses in '{code}' must be {{chosen, rejected}}")
    here = f"{where}, responses in '{code}'"
    chosen = _text(here, pair, "chosen")
    assert chosen is not None
    return Pair(chosen=chosen, rejected=_text(here, pair, "rejected", optional=True))


def _text(where: str, raw: dict[str, Any], column: str, optional: bool = False) -> str | None:
    if raw.get(column) is None:
        return None if optional else _missing(where, column)
    text = _as_text(raw[column])
    if not text:
        raise UsageError(f"{where}: '{column}' is empty or not text")
    return text


def _theirs(where: str, raw: dict[str, Any], column: str) -> str | None:
    """As `_text`, for files of others: their few empty responses are missing ones, which `require` names if need be."""
    if column not in raw:
        _missing(where, column)
    return _as_text(raw[column]) or None


def _missing(where: str, column: str) -> str:
    raise UsageError(f"{where}: the column '{column}' is missing")


def _as_text(value: Any) -> str:
    """A text, a turn `{"from", "value"}`, or a list of one turn, as text without white space around it."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("value")
    return value.strip() if isinstance(value, str) else ""


def _language(where: str, code: str) -> str:
    try:
        return languages.get(code).code
    except languages.UnknownLanguage as error:
        raise UsageError(f"{where}: {error}") from None


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


def without_test_prompts(data: TrainingData, tasks: Iterable[str]) -> TrainingData:
    """Leave out rows of which a prompt, in any language, also stands in one of the tasks; `overlap` then says how many.

    Exactly, but for spelling, or nearly so: see mlc_bench.overlap. Raises PrerequisiteError where a task's data is
    absent, UsageError where nothing is left.
    """
    found: set[int] = set()
    overlap: dict[str, dict[str, int]] = {}
    for entry in catalog.select(list(tasks)):
        for code, documents in task_data.read(entry.source).items():
            tested = Index([document["prompt"] for document in documents], code)
            same = {
                number
                for number, row in enumerate(data.rows)
                if code in row["prompts"] and tested.kind(row["prompts"][code])
            }
            if same:
                overlap.setdefault(entry.name, {})[code] = len(same)
                found |= same
    kept = [row for number, row in enumerate(data.rows) if number not in found]
    if not kept:
        raise UsageError(
            f"every training prompt also stands in a test task ({', '.join(overlap)}); train on other data"
        )
    return replace(data.without("stands in a test task", kept), overlap=overlap)


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
        turns = [{"role": "user", "content": prompt}]
        return len(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))

    return length
