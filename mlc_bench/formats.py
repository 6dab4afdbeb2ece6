"""From the bytes of a data file to rows: JSON lines, CSV and TSV, Excel, Parquet."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc_bench.errors import UsageError

Row = dict[Any, Any]
"""A row: column -> value. Columns of a file without a heading are numbers, from 0."""


def rows(path: Path, content: bytes, heading: bool = True) -> list[tuple[str, Row]]:
    """The rows of a file, each with where it stands (`line 3` or `row 3`), in the format that the name ends in.

    Raises UsageError naming the file and the place of what cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return list(_separated(_text(path, content), "\t" if suffix == ".tsv" else ",", heading))
    if suffix == ".xlsx":
        return list(_excel(content))
    if suffix == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()
        return [(f"row {number}", row) for number, row in enumerate(table, 1)]
    return [(f"line {number}", row) for number, row in _json_lines(path, _text(path, content))]


def columns(path: Path) -> list[str]:
    """The names of a file's columns, read from its heading or first row alone."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return pyarrow.parquet.read_schema(path).names
    with path.open("rb") as file:
        if path.suffix in (".csv", ".tsv"):
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
            return next(csv.reader(text, delimiter="\t" if path.suffix == ".tsv" else ","), [])
        first = next((line for line in file if line.strip()), b"")
    found = list(_json_lines(path, _text(path, first)))
    return list(found[0][1]) if found else []


def read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with its line number. Raises UsageError naming a bad line."""
    found = list(_json_lines(path, decode(path)))
    if not found:
        raise UsageError(f"{path} has no rows")
    return found


def decode(path: Path) -> str:
    """A file as text, without a BOM. Raises UsageError naming the line of a byte that is not UTF-8."""
    try:
        return _text(path, path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def _text(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: broken UTF-8; save the file as UTF-8") from None


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {number}: not JSON ({error.msg}); each line holds one object") from None
        except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists without end
            raise UsageError(f"{path}, line {number}: not JSON that can be read; each line holds one object") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number}: a JSON object is expected")
        yield number, row


def _separated(text: str, delimiter: str, heading: bool) -> Iterator[tuple[str, Row]]:
    """Fields may hold line breaks, and lines more or fewer fields than others: a missing one is absent."""
    stream = io.StringIO(text.rstrip("\r\n"), newline="")
    if delimiter == "\t":
        lines = csv.reader(stream, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        lines = csv.reader(stream, delimiter=delimiter)
    names: Any = next(lines, []) if heading else None
    for number, fields in enumerate(lines, 1):
        if fields or not heading:
            yield f"row {number}", dict(zip(names, fields, strict=False)) if heading else dict(enumerate(fields))


def _excel(content: bytes) -> Iterator[tuple[str, Row]]:
    import openpyxl

    sheet = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[0]
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        yield f"row {number}", dict(enumerate(cells))
