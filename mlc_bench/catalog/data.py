"""Task data as documents for lm-eval, in every language that it has.

Every document has `id` (the same in all languages), `language`, `category` and `prompt`, and whatever else its row has.
A source (a task's `dataset_kwargs`) is of one of three forms:

- `folder`: data in the repository, one file `<code>.jsonl` for each language;
- `file` and `columns`: one file whose columns are languages;
- `files` and `path`: files for each language, `{language}` in `path` in place of what the data set calls it.

`sample: 100` takes that many of its rows, the same in every language and on every machine. Which languages there are,
the data say: see `naming`.
"""

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlc_bench.catalog import naming, reading, sources
from mlc_bench.catalog.languages import Language, world
from mlc_bench.catalog.reading import decode as decode
from mlc_bench.catalog.reading import read_json_lines as read_json_lines
from mlc_bench.catalog.sources import TASKS as TASKS
from mlc_bench.catalog.sources import Source
from mlc_bench.catalog.sources import cache_dir as cache_dir
from mlc_bench.catalog.sources import sha256 as sha256
from mlc_bench.core import bounded
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.inside import inside
from mlc_bench.core.progress import say

Documents = dict[str, list[dict[str, Any]]]


def load(*, languages: list[str] | None = None, limit: int | None = None, **source: Any) -> dict[str, Any]:
    """The `custom_dataset` of our task YAMLs: `{"test": datasets.Dataset}`.

    `languages` and `limit` (first n prompts of each language) arrive through the task's metadata, from
    `mlc-bench run` or from plain lm-eval's `--metadata`; the rest is the YAML's `dataset_kwargs`.
    """
    import datasets

    documents = read(source, languages)
    wanted = languages or list(documents)
    if missing := [code for code in wanted if code not in documents]:
        raise UsageError(f"{where(source)} has no data for {', '.join(missing)}; it has {', '.join(documents)}")
    chosen = [doc for code in wanted for doc in documents[code][:limit]]
    shared = [key for key in chosen[0] if all(key in doc for doc in chosen)] if chosen else []
    return {"test": datasets.Dataset.from_list([{key: doc[key] for key in shared} for doc in chosen])}


def read(source: Source, wanted: list[str] | None = None) -> Documents:
    """Documents by language code, checked: same ids in every language (where rows are parallel), no empty prompt.

    `wanted` spares files of other languages, and of one file what is wrong in other languages. Raises UsageError for a
    bad row, PrerequisiteError where the data is absent or not what its digest says.
    """
    documents = _read(source, wanted)
    for code, docs in documents.items():
        ids = [doc["id"] for doc in docs]
        if len(set(ids)) < len(ids):
            twice = next(id for id, count in Counter(ids).items() if count > 1)
            raise UsageError(
                f"{where(source)}: in '{code}', an id is on two rows: '{twice}'; give each row an id of its own (where "
                "several files of one language have no ids: 'fields: {id: ...}', or a category for each file in 'path')"
            )
        first = [doc["id"] for doc in next(iter(documents.values()))]
        if source.get("parallel", True) and ids != first:
            raise UsageError(
                f"{where(source)}: '{code}' has other ids than the others, or another order: "
                f"{sorted(set(ids) ^ set(first))[:5]}"
            )
    return _sampled(documents, source["sample"]) if "sample" in source else documents


def _sampled(documents: Documents, count: int) -> Documents:
    """So many rows of each language, in their order: those whose ids have the lowest digests."""
    found = {}
    for code, docs in documents.items():
        ids = {doc["id"] for doc in docs}
        chosen = set(sorted(ids, key=lambda one: sha256(one.encode()))[:count])
        found[code] = [doc for doc in docs if doc["id"] in chosen]
    return found


def languages(source: Source) -> list[str] | None:
    """The languages that the data covers, or None where only the data itself says and it is not on this machine."""
    if "folder" in source:
        return list(_finished(_folder(source)))
    if "file" in source:
        path = sources.present(source, source["file"])
        try:
            return (
                None
                if path is None
                else list(naming.of_columns(source, _table(path, sha256(bounded.read_bytes(path)))))
            )
        except UsageError:  # said where the data are needed
            return None
    return list(naming.of_paths(source))


def forget() -> None:
    """Read folders and lists of digests anew: their files may have changed since."""
    _said.clear()
    _read_language.cache_clear()
    sources.forget()


def is_here(source: Source, wanted: list[str] | None = None) -> bool:
    """Whether all the data, or those of the `wanted` languages, are on this machine."""
    if "folder" in source:
        return True
    if "file" in source:
        return sources.present(source, source["file"]) is not None
    codes = wanted if wanted is not None else languages(source) or []
    names = [name for code in codes for _, name in naming.files(source, code)]
    return all(sources.present(source, name) for name in names)


def read_what_is_here(source: Source, wanted: Sequence[str] | None = None) -> Documents:
    """As `read`, of those languages whose data are on this machine; nothing is downloaded."""
    if is_here(source, list(wanted or []) or None):
        return read(source, list(wanted or []) or None)
    codes = [code for code in wanted or languages(source) or [] if is_here(source, [code])]
    return read(source, codes) if codes else {}


def not_here(source: Source, wanted: Sequence[str] | None = None) -> list[str]:
    """The languages, all or of those `wanted`, whose data are not on this machine."""
    if is_here(source, list(wanted or []) or None):
        return []
    return [code for code in wanted or languages(source) or [] if not is_here(source, [code])]


def fingerprint(documents: list[dict[str, Any]]) -> str:
    """sha256 over documents, independent of how their file spells them."""
    return sha256(json.dumps(documents, sort_keys=True, ensure_ascii=False).encode())


def where(source: Source) -> str:
    """A source's data as messages name it."""
    return str(source.get("folder") or source.get("file") or source.get("files"))


def _read(source: Source, wanted: list[str] | None) -> Documents:
    if "folder" in source:
        return _read_folder(source, wanted)
    if "file" in source:
        path, content = sources.content(source, source["file"])
        return _read_columns(
            json.dumps(source, sort_keys=True, default=str), path, sha256(content), tuple(wanted or ())
        )
    covered = languages(source) or []
    codes = [code for code in covered if not wanted or code in wanted]
    if not codes:
        raise UsageError(f"{where(source)} has no data for {', '.join(wanted or [])}; it has {', '.join(covered)}")
    return {code: _read_files(source, code) for code in codes}


def files(source: Source) -> dict[str, Path]:
    """The data files of a source that is a folder, by language, the unfinished ones too.

    A file of no language is left out, and that is said once. Raises UsageError for a link that leads out of the
    folder, for two files of one language, and where no file is of a language.
    """
    return _files_of_folder(_folder(source))


def _folder(source: Source) -> Path:
    return sources.own(source, "folder")


_said: set[str] = set()  # what was left out, until folders are read anew


def _files_of_folder(folder: Path) -> dict[str, Path]:
    paths: list[Path] = []
    strays: list[str] = []
    for path in sorted(folder.glob("*.jsonl")):
        if path.name.startswith("."):  # of an editor, or of another system
            continue
        inside(folder, path.name, f"{folder}: the file")
        try:
            world.describe(world.code_of(path.stem) or path.stem)
            paths.append(path)
        except UsageError as error:
            strays.append(f"{path}: {error}")
    if strays and not paths:
        raise UsageError(strays[0])
    for stray in strays:
        if stray not in _said:
            say(f"left out: {stray}")
            _said.add(stray)
    return naming.of_files(paths)


def _finished(folder: Path) -> dict[str, Path]:
    """A folder's data files by language, without those in which a text still waits for its translator."""
    return {code: path for code, path in _files_of_folder(folder).items() if not _is_draft(path)}


def _is_draft(path: Path) -> bool:
    try:
        return b'"TODO"' in bounded.read_bytes(path)
    except (UsageError, OSError):  # who reads the language is told
        return False


def _read_folder(source: Source, wanted: list[str] | None) -> Documents:
    folder = _folder(source)
    finished = _finished(folder)
    if not finished and files(source):
        raise PrerequisiteError(
            f"{folder}: no language is finished; what is left to do: mlc-bench tasks validate FOLDER"
        )
    if not finished:
        raise PrerequisiteError(f"{folder} has no data files; a language is one file '<code>.jsonl' there")
    codes = [code for code in finished if not wanted or code in wanted]
    if not codes:
        raise UsageError(f"{where(source)} has no data for {', '.join(wanted or [])}; it has {', '.join(finished)}")
    return {code: _read_language(finished[code], code, source["prompt_field"]) for code in codes}


@lru_cache(maxsize=1024)
def _read_language(path: Path, code: str, prompt_field: str) -> list[dict[str, Any]]:
    language = world.describe(code)
    documents = []
    for place, row in reading.read(path).rows:
        if not _text(row.get(prompt_field)):
            raise UsageError(f"{path}, {place}: '{prompt_field}' is missing, empty, or not text")
        if "id" not in row:
            raise UsageError(f"{path}, {place}: 'id' is missing")
        documents.append(
            {
                "id": str(row["id"]),
                "language": code,
                "category": row.get("category") or row.get("topic"),
                "prompt": row[prompt_field],
                # one type for a column in every task, as Arrow wants it
                **{key: row[key] for key in ("question", "choices", "answer") if key in row},
                **{f"{name}_word": word for name, word in language.words.items()},
            }
        )
    return documents


@lru_cache(maxsize=8)
def _table(path: Path, content_digest: str, heading: bool = True) -> reading.Table:
    return reading.parse(path, bounded.read_bytes(path), heading)


@lru_cache(maxsize=16)
def _read_columns(key: str, path: Path, content_digest: str, wanted: tuple[str, ...]) -> Documents:
    """One file whose columns are languages; a cell holds text or chat turns as in the MLC data.

    Where rows are not parallel, a language has those rows that hold a text in it.
    """
    source = json.loads(key)
    table = _table(path, content_digest)
    rows = [
        row
        for _, row in table.rows
        if all(str(row.get(column)) == value for column, value in source.get("where", {}).items())
    ]
    columns = naming.of_columns(source, table) if rows else {}
    if not columns:
        raise UsageError(f"{path} has no rows with a column for a language")
    if wanted and (some := [code for code in columns if code in wanted]):
        columns = {code: columns[code] for code in some}
    category = source.get("category_column")
    documents: Documents = {code: [] for code in columns}
    for index, row in enumerate(rows):
        row_id = str(index if row.get("id") in (None, "") else row["id"])
        if row_id in source.get("leave_out", ()):
            continue
        for code, column in columns.items():
            prompt = _text(row.get(column))
            if not prompt and not source.get("parallel", True):
                continue
            if not prompt:
                raise UsageError(
                    f"{path}, row {index + 1}: no prompt for language '{code}' (column '{column}'); leave the row out "
                    f"(leave_out: ['{row_id}']), or the language (--languages)"
                )
            documents[code].append(
                {
                    "id": row_id,
                    "language": code,
                    "category": row.get(category) if category else None,
                    "prompt": prompt,
                }
            )
    return documents


def _read_files(source: Source, code: str) -> list[dict[str, Any]]:
    """All documents of one language: their ids are `<category>-<row>` from 0 on, or what `fields` names."""
    language = world.describe(code)
    fields = {name: naming.field(column, code) for name, column in source["fields"].items()}
    heading = not any(isinstance(column, int) for column in fields.values())
    documents = []
    found = naming.files(source, code)
    if absent := sum(sources.present(source, name) is None for _, name in found):
        say(f"{where(source)}: downloading {absent} file{'s' * (absent > 1)} for '{code}'")
    for category, name in found:
        path, content = sources.content(source, name)
        table = reading.parse(path, content, heading)
        if table.rows and fields["prompt"] not in table.columns:
            has = ", ".join(map(str, table.columns)) or "none"
            raise UsageError(f"{path}: there is no column '{fields['prompt']}' for the prompt; it has {has}")
        for index, (place, row) in enumerate(table.rows):
            default = str(index) if category is None else f"{category}-{index}"
            doc: dict[str, Any] = {"id": default, "category": category, **_picked(row, fields)}
            if doc["id"] in source.get("leave_out", ()):
                continue
            if not doc["prompt"]:
                raise UsageError(
                    f"{path}, {place}: no prompt (column '{fields['prompt']}'); leave the row out "
                    f"(leave_out: ['{doc['id']}']), or the language (--languages)"
                )
            documents.append(doc | {"language": code} | _words(language))
    return documents


def _words(language: Language) -> dict[str, str]:
    """The words around questions and choices, which a language without a file does not have."""
    if not language.words:
        return {}
    return {f"{key}_word": word for key, word in language.words.items()} | {"choose": language.choose}


def _picked(row: reading.Row, fields: dict[str, str | int]) -> dict[str, str]:
    return {name: _text(row.get(column)) or _plain(row.get(column)) for name, column in fields.items()}


def _plain(value: Any) -> str:
    return "" if value is None or isinstance(value, (str, list)) else str(value)


def _text(value: Any) -> str:
    """A text, or what the first turn of a chat says: [{"from": "human", "value": ...}]."""
    if isinstance(value, list):
        turn = value[0] if value and isinstance(value[0], dict) else {}
        value = turn.get("value", turn.get("content"))
    return value.strip() if isinstance(value, str) else ""
