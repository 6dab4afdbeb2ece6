"""Task data as documents for lm-eval, in every language that it has.

Every document has `id` (the same in all languages), `language`, `category` and `prompt`, and whatever else its row has.
A source (a task's `dataset_kwargs`) is of one of three forms:

- `folder`: data in the repository, one file `<code>.jsonl` for each language;
- `file` and `columns`: one file whose columns are languages;
- `files` and `path`: files for each language, `{language}` in `path` standing for what `dataset` calls it.
"""

import json
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlc_bench import formats, sources
from mlc_bench import languages as known_languages
from mlc_bench.errors import PrerequisiteError, UsageError
from mlc_bench.formats import decode as decode
from mlc_bench.formats import read_json_lines as read_json_lines
from mlc_bench.progress import say
from mlc_bench.sources import TASKS as TASKS
from mlc_bench.sources import Source
from mlc_bench.sources import cache_dir as cache_dir
from mlc_bench.sources import sha256 as sha256

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
    return {"test": datasets.Dataset.from_list([doc for code in wanted for doc in documents[code][:limit]])}


def read(source: Source, wanted: list[str] | None = None) -> Documents:
    """Documents by language code, checked: same ids in every language (where rows are parallel), no empty prompt.

    `wanted` spares files of other languages; what shares a file comes whole. Raises UsageError for a bad row,
    PrerequisiteError where the data is absent or not what its digest says.
    """
    documents = _read(source, wanted)
    for code, docs in documents.items():
        ids = [doc["id"] for doc in docs]
        if len(set(ids)) < len(ids):
            raise UsageError(f"{where(source)}: in '{code}', an id stands for two rows")
        first = [doc["id"] for doc in next(iter(documents.values()))]
        if source.get("parallel", True) and ids != first:
            raise UsageError(
                f"{where(source)}: '{code}' has other ids than the others, or another order: "
                f"{sorted(set(ids) ^ set(first))[:5]}"
            )
    return documents


def languages(source: Source) -> list[str] | None:
    """The languages that the data covers, or None where only the data itself says and it is not on this machine."""
    if "folder" in source:
        return [path.stem for path in _finished(_folder(source))]
    if "file" in source:
        path = sources.present(source, source["file"])
        return None if path is None else list(_language_columns(source, formats.columns(path)))
    return [code for code in known_languages.known() if _files(source, code)]


def forget() -> None:
    """Read folders and lists of digests anew: their files may have changed since."""
    _read_folder.cache_clear()
    sources.forget()


def is_here(source: Source, wanted: list[str] | None = None) -> bool:
    """Whether all the data, or those of the `wanted` languages, are on this machine."""
    if "folder" in source:
        return True
    if "file" in source:
        return sources.present(source, source["file"]) is not None
    codes = wanted if wanted is not None else languages(source) or []
    files = [name for code in codes for _, name in _files(source, code)]
    return all(sources.present(source, name) for name in files)


def read_what_is_here(source: Source) -> Documents:
    """As `read`, of those languages whose data are on this machine; nothing is downloaded."""
    if is_here(source):
        return read(source)
    codes = [code for code in languages(source) or [] if is_here(source, [code])]
    return read(source, codes) if codes else {}


def fingerprint(documents: list[dict[str, Any]]) -> str:
    """sha256 over documents, independent of how their file spells them."""
    return sha256(json.dumps(documents, sort_keys=True, ensure_ascii=False).encode())


def where(source: Source) -> str:
    """A source's data as messages name it."""
    return str(source.get("folder") or source.get("file") or source.get("files"))


def _read(source: Source, wanted: list[str] | None) -> Documents:
    if "folder" in source:
        return _read_folder(_folder(source), source["prompt_field"])
    key = json.dumps(source, sort_keys=True, default=str)
    if "file" in source:
        path, content = sources.content(source, source["file"])
        return _read_columns(key, path, sha256(content))
    covered = languages(source) or []
    codes = [code for code in covered if not wanted or code in wanted]
    if not codes:
        raise UsageError(f"{where(source)} has no data for {', '.join(wanted or [])}; it has {', '.join(covered)}")
    return {code: _read_files(source, code) for code in codes}


def _folder(source: Source) -> Path:
    return sources.root(source) / source["folder"]


def _finished(folder: Path) -> list[Path]:
    """A folder's data files, without those in which a text still waits for its translator (see scaffold)."""
    paths = sorted(folder.glob("*.jsonl"))
    return [path for path in paths if not (path.is_file() and b'"TODO"' in path.read_bytes())]


@lru_cache(maxsize=64)
def _read_folder(folder: Path, prompt_field: str) -> Documents:
    documents: Documents = {}
    for path in _finished(folder):
        try:
            language = known_languages.get(path.stem)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None
        documents[language.code] = []
        for number, row in read_json_lines(path):
            if not _text(row.get(prompt_field)):
                raise UsageError(f"{path}, line {number}: '{prompt_field}' is missing, empty, or not text")
            if "id" not in row:
                raise UsageError(f"{path}, line {number}: 'id' is missing")
            documents[language.code].append(
                {
                    "id": str(row["id"]),
                    "language": language.code,
                    "category": row.get("category") or row.get("topic"),
                    "prompt": row[prompt_field],
                    # one type for a column in every task, as Arrow wants it
                    **{key: row[key] for key in ("question", "choices", "answer") if key in row},
                    **{f"{name}_word": word for name, word in language.words.items()},
                }
            )
    if not documents and any(folder.glob("*.jsonl")):
        raise PrerequisiteError(
            f"{folder}: no language is finished; what is left to do: mlc-bench tasks validate FOLDER"
        )
    if not documents:
        raise PrerequisiteError(f"{folder} has no data files; a language is one file '<code>.jsonl' there")
    return documents


@lru_cache(maxsize=16)
def _read_columns(key: str, path: Path, content_digest: str) -> Documents:
    """One file whose columns are languages; a cell holds text or chat turns as in the MLC data."""
    source = json.loads(key)
    rows = [
        (place, row)
        for place, row in formats.rows(path, path.read_bytes())
        if all(str(row.get(column)) == value for column, value in source.get("where", {}).items())
    ]
    columns = _language_columns(source, list(rows[0][1]) if rows else [])
    if not columns:
        raise UsageError(f"{path} has no rows with a column for a known language")
    category = source.get("category_column")
    documents: Documents = {code: [] for code in columns}
    for index, (_, row) in enumerate(rows):
        row_id = str(index if row.get("id") in (None, "") else row["id"])
        if row_id in source.get("leave_out", ()):
            continue
        for code, column in columns.items():
            prompt = _text(row.get(column))
            if not prompt:
                raise UsageError(f"{path}, row {index + 1}: no prompt for language '{code}' (column '{column}')")
            documents[code].append(
                {
                    "id": row_id,
                    "language": code,
                    "category": row.get(category) if category else None,
                    "prompt": prompt,
                }
            )
    return documents


def _language_columns(source: Source, columns: list[str]) -> dict[str, str]:
    """Language code -> column: a pattern's key and value are a code and a column, or hold "*" for any known one."""
    found = {}
    for code in known_languages.known():
        name = known_languages.get(code).called(source.get("dataset"))
        for key, pattern in source["columns"].items():
            column = pattern.replace("*", name)
            # "id" is the code of Indonesian, too; a column of that name holds the rows' ids.
            if key in (code, "*") and column in columns and column not in ("id", source.get("category_column")):
                found[code] = column
    return dict(sorted(found.items(), key=lambda item: columns.index(item[1])))


def _files(source: Source, code: str) -> list[tuple[str | None, str]]:
    """The files of one language, each with its category; none where the data set does not have the language."""
    language = known_languages.get(code)
    dataset = source["dataset"]
    patterns: dict[str | None, str] = source["path"] if isinstance(source["path"], dict) else {None: source["path"]}
    named = sources.names(source)
    if named is None:  # without a list, a language says itself that the data set has it
        name = language.codes.get(dataset)
        return [] if name is None else [(key, pattern.format(language=name)) for key, pattern in patterns.items()]
    filled = {key: pattern.format(language=language.called(dataset)) for key, pattern in patterns.items()}
    return [(key, name) for key, pattern in filled.items() for name in named if fnmatch(name, pattern)]


def _read_files(source: Source, code: str) -> list[dict[str, Any]]:
    """All documents of one language: their ids are `<category>-<row>` from 0 on, or what `fields` names."""
    language = known_languages.get(code)
    fields: dict[str, str | int] = source["fields"]
    heading = not any(isinstance(column, int) for column in fields.values())
    documents = []
    files = _files(source, code)
    if absent := sum(sources.present(source, name) is None for _, name in files):
        say(f"{where(source)}: downloading {absent} file{'s' * (absent > 1)} for '{code}'")
    for category, name in files:
        path, content = sources.content(source, name)
        for index, (place, row) in enumerate(formats.rows(path, content, heading)):
            default = str(index) if category is None else f"{category}-{index}"
            doc: dict[str, Any] = {"id": default, "category": category, **_picked(row, fields)}
            if doc["id"] in source.get("leave_out", ()):
                continue
            if not doc["prompt"]:
                raise UsageError(f"{path}, {place}: no prompt (column '{fields['prompt']}')")
            words = {f"{key}_word": word for key, word in language.words.items()} | {"choose": language.choose}
            documents.append(doc | {"language": code} | words)
    return documents


def _picked(row: formats.Row, fields: dict[str, str | int]) -> dict[str, str]:
    return {name: _text(row.get(column)) or _plain(row.get(column)) for name, column in fields.items()}


def _plain(value: Any) -> str:
    return "" if value is None or isinstance(value, (str, list)) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, list):  # [{"from": "human", "value": ...}]
        value = value[0].get("value") if value and isinstance(value[0], dict) else ""
    return value.strip() if isinstance(value, str) else ""
