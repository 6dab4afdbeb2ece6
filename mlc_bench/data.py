"""Task data: where it lies, whether it is the right data, and its rows as documents for lm-eval.

Every document has `id` (the same in all languages), `language`, `category` and `prompt`, and whatever else its row has.
"""

import csv
import hashlib
import io
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlc_bench import languages as known_languages
from mlc_bench.errors import PrerequisiteError, UsageError

TASKS = Path(__file__).resolve().parent / "tasks"
if not TASKS.is_dir():  # an editable install: the folder keeps its place in the repository
    TASKS = Path(__file__).resolve().parent.parent / "tasks"


def cache_dir() -> Path:
    """Our folder for downloads and converted models: $MLC_BENCH_CACHE, else ~/.cache/mlc-bench."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MLC_BENCH_CACHE") or Path(home) / "mlc-bench")


def load(*, languages: list[str] | None = None, limit: int | None = None, **source: Any) -> dict[str, Any]:
    """The `custom_dataset` of our task YAMLs: `{"test": datasets.Dataset}`.

    `languages` and `limit` (first n prompts of each language) arrive through the task's metadata, from
    `mlc-bench run` or from plain lm-eval's `--metadata`; the rest is the YAML's `dataset_kwargs`.
    """
    import datasets

    documents = read(source)
    wanted = languages or list(documents)
    if missing := [code for code in wanted if code not in documents]:
        raise UsageError(f"{_where(source)} has no data for {', '.join(missing)}; it has {', '.join(documents)}")
    return {"test": datasets.Dataset.from_list([doc for code in wanted for doc in documents[code][:limit]])}


def read(source: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """All documents by language code, checked: same ids in every language, no empty prompt.

    Raises UsageError for a bad row, PrerequisiteError where the data is absent or not what the digest says.
    """
    if "folder" in source:
        documents = _read_folder(TASKS / source["folder"], source["prompt_field"])
    else:
        documents = _read_columns(locate(source), source)
    reference = next(iter(documents.values()))
    if len({doc["id"] for doc in reference}) < len(reference):
        raise UsageError(f"{_where(source)}: an id stands for two rows")
    for code, docs in documents.items():
        if [doc["id"] for doc in docs] != [doc["id"] for doc in reference]:
            different = {doc["id"] for doc in docs} ^ {doc["id"] for doc in reference}
            raise UsageError(
                f"{_where(source)}: '{code}' has other ids than the others, or another order: {sorted(different)[:5]}"
            )
    return documents


def languages(source: dict[str, Any]) -> list[str] | None:
    """The languages that the data covers, or None where the data is not on this machine."""
    if "folder" in source:
        return sorted(path.stem for path in (TASKS / source["folder"]).glob("*.jsonl"))
    if (path := _present(source)) is None:
        return None
    return list(_read_columns(path, source))


def fingerprint(documents: list[dict[str, Any]]) -> str:
    """sha256 over documents, independent of how their file spells them."""
    return sha256(json.dumps(documents, sort_keys=True, ensure_ascii=False).encode())


def locate(source: dict[str, Any]) -> Path:
    """The path of the source's file: in the data folder, in our cache, or downloaded; its sha256 is verified."""
    path = _present(source) or _download(source)
    if (found := sha256(path.read_bytes())) != source["sha256"]:
        raise PrerequisiteError(
            f"{path} is not the file that the task was made for (sha256 {found[:12]}…, expected "
            f"{source['sha256'][:12]}…); remove it, and get {_origin(source)}"
        )
    return path


def _present(source: dict[str, Any]) -> Path | None:
    if folder := os.environ.get("MLC_BENCH_DATA"):
        path = Path(folder) / source["file"]
        if path.is_file():
            return path
    cached = cache_dir() / "data" / source["file"]
    return cached if cached.is_file() else None


def _origin(source: dict[str, Any]) -> str:
    if "url" in source:
        return source["url"]
    return f"'{source['hub_file']}' of the hub's data set {source['hub']} at revision {source['revision']}"


def _download(source: dict[str, Any]) -> Path:
    target = cache_dir() / "data" / source["file"]
    try:
        if "hub" in source:
            from huggingface_hub import hf_hub_download

            found = hf_hub_download(source["hub"], source["hub_file"], repo_type="dataset", revision=source["revision"])
            content = Path(found).read_bytes()
        else:
            from urllib.request import urlopen

            with urlopen(source["url"], timeout=30) as response:
                content = response.read()
    except Exception as error:  # any network, hub or permission problem has the same remedy
        raise PrerequisiteError(
            f"cannot get the data of '{source['file']}' ({type(error).__name__}); download {_origin(source)}, save it "
            f"as '{source['file']}' in a folder, and name the folder with --data-dir or MLC_BENCH_DATA"
        ) from error
    if sha256(content) != source["sha256"]:
        raise PrerequisiteError(f"what came from {_origin(source)} is not the expected file (wrong sha256)")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.part")
    partial.write_bytes(content)
    partial.replace(target)
    return target


def sha256(content: bytes) -> str:
    """The digest of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _where(source: dict[str, Any]) -> str:
    return str(source.get("folder") or source["file"])


def decode(path: Path) -> str:
    """A file as text, without a BOM. Raises UsageError naming the line of a byte that is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: broken UTF-8; save the file as UTF-8") from None


def read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with its line number. Raises UsageError naming a bad line."""
    rows = []
    for number, line in enumerate(decode(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {number}: not JSON ({error.msg}); each line holds one object") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number}: a JSON object is expected")
        rows.append((number, row))
    if not rows:
        raise UsageError(f"{path} has no rows")
    return rows


@lru_cache(maxsize=64)
def _read_folder(folder: Path, prompt_field: str) -> dict[str, list[dict[str, Any]]]:
    documents: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.jsonl")):
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
    if not documents:
        raise PrerequisiteError(f"{folder} has no data files; a language is one file '<code>.jsonl' there")
    return documents


def _read_columns(path: Path, source: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """One file whose columns are languages: JSON lines (chat turns as in the MLC data) or CSV."""
    if path.suffix == ".csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(decode(path), newline="")))
    else:
        rows = [row for _, row in read_json_lines(path)]
    columns = _language_columns(source["columns"], list(rows[0]) if rows else [])
    if not columns:
        raise UsageError(f"{path} has no rows with a column for a known language")
    category = source.get("category_column")
    documents: dict[str, list[dict[str, Any]]] = {code: [] for code in columns}
    for index, row in enumerate(rows):
        for code, column in columns.items():
            prompt = _text(row.get(column))
            if not prompt:
                raise UsageError(f"{path}, row {index + 1}: no prompt for language '{code}' (column '{column}')")
            documents[code].append(
                {
                    "id": str(row.get("id") or index),
                    "language": code,
                    "category": row.get(category) if category else None,
                    "prompt": prompt,
                }
            )
    return documents


def _language_columns(patterns: dict[str, str], columns: list[str]) -> dict[str, str]:
    """Language code -> column: a pattern's key and value are a code and a column, or hold "*" for any known code."""
    found = {}
    for code in known_languages.known():
        for key, pattern in patterns.items():
            column = pattern.replace("*", code)
            if key in (code, "*") and column in columns:
                found[code] = column
    return dict(sorted(found.items(), key=lambda item: columns.index(item[1])))


def _text(value: Any) -> str:
    if isinstance(value, list):  # [{"from": "human", "value": ...}]
        value = value[0].get("value") if value and isinstance(value[0], dict) else ""
    return value.strip() if isinstance(value, str) else ""
