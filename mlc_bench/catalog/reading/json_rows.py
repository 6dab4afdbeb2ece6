"""JSON: one object a line, a list of objects, an object that holds such a list, or an object of columns."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mlc_bench.catalog import limits
from mlc_bench.catalog.reading import files
from mlc_bench.catalog.reading.table import Row, Table, column_names
from mlc_bench.core.errors import UsageError

# What publishers call the list of rows in an object.
_LISTS = ("data", "rows", "examples", "items", "records", "instances", "entries", "results", "samples", "questions")
_SPLITS = ("train", "validation", "dev", "test")
_EXPECTED = "one object a line, or a list of objects, is expected"


def table(path: Path, text: str, is_document: bool) -> Table:
    """The rows of a file in any of the forms. `is_document`: its name says JSON, not JSON lines.

    Raises UsageError naming the line, or the row, of what is wrong.
    """
    if text.lstrip().startswith("["):
        rows = [(f"row {number}", row) for number, row in enumerate(_list(path, text), 1)]
    elif (found := _one_object(path, text, is_document)) is not None:
        rows = _of_object(path, text, found)
    else:
        lines = _unix(text)
        rows = [(f"line {n}", row) for n, row in limits.counted(path, _lines(path, lines, partial(_object, path)))]
    checked = [(place, _checked(path, place, row)) for place, row in limits.counted(path, rows)]
    if "\\ud" in text.lower():
        _refuse_halves(path, checked)
    return Table(list(dict.fromkeys(column for _, row in checked for column in row)), checked)


def read_json_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, each with its line number. Raises UsageError naming a bad line."""
    found = list(limits.counted(path, _lines(path, files.decode(path))))
    if not found:
        raise UsageError(f"{path} has no rows")
    return found


def inside(cell: str) -> Any:
    """What JSON in a cell of a table says, as publishers write chats and mappings there; else the text itself."""
    if not cell.lstrip().startswith(("[{", '{"', '["')):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _unix(text: str) -> str:
    """A raw carriage return ends a line: within a JSON text it would be written as \\r."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(path: Path, text: str, hook: Any = None) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        limits.check_line(path, number, line)
        try:
            row = json.loads(line, object_pairs_hook=hook and partial(hook, f"line {number}"))
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {number}: not JSON ({error.msg}); each line holds one object") from None
        except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists without end
            raise UsageError(f"{path}, line {number}: not JSON that can be read; each line holds one object") from None
        if not isinstance(row, dict):
            raise UsageError(f"{path}, line {number}: a JSON object is expected")
        yield number, row


def _document(path: Path, text: str) -> Any:
    """The value of a whole file. Raises ValueError for what is not JSON, RecursionError for what nests too deeply."""
    return json.loads(text, object_pairs_hook=partial(_object, path, None))


def _list(path: Path, text: str) -> list[Row]:
    try:
        rows = _document(path, text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}: not a JSON list ({error.msg}); {_EXPECTED}") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{path}: not a JSON list that can be read; {_EXPECTED}") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UsageError(
                f"{path}, row {number}: a JSON object is expected; the file must be a list of JSON objects"
            )
    return list(rows)


def _one_object(path: Path, text: str, is_document: bool) -> dict[str, Any] | None:
    """The object that is the whole file; None where lines hold one each, or something else is wrong."""
    if not text.lstrip().startswith("{"):
        return None
    first, _, rest = _unix(text).lstrip().partition("\n")
    if rest.strip() and _is_json(first):
        return None
    try:
        found = _document(path, text)
    except json.JSONDecodeError as error:
        if is_document and not _is_json(first):
            raise UsageError(f"{path}, line {error.lineno}: not JSON ({error.msg}); {_EXPECTED}") from None
        return None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _object(path: Path, place: str | None, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        where = f"{path}, {place}" if place else str(path)
        raise UsageError(f"{where}: the field '{twice}' is there twice in one object; rename or remove one")
    return values


def _of_object(path: Path, text: str, found: dict[str, Any]) -> list[tuple[str, Row]]:
    """The rows in an object: a list under a usual name, columns, or the object itself."""
    named = [key for key in (*_LISTS, *_SPLITS) if _are_rows(found.get(key))]
    if len(named) > 1:
        raise UsageError(f"{path}: lists of rows under {' and '.join(named)}; keep the one that is meant in the file")
    if named:
        rows = found[named[0]]
    elif isinstance(names := found.get("columns"), list) and isinstance(lists := found.get("data"), list):
        rows = [dict(zip(column_names(path, names), one, strict=False)) for one in lists if isinstance(one, list)]
    elif any(found.values()) and all(isinstance(value, list) for value in found.values()) and _are_columns(found):
        rows = _of_columns(path, found)
    elif _is_by_number(found):
        numbers = dict.fromkeys(number for column in found.values() for number in column)
        rows = [{name: column.get(number) for name, column in found.items()} for number in numbers]
    else:
        return [(f"line {1 + text[: text.index('{')].count(chr(10))}", found)]
    if rows and all(set(row) >= {"row_idx", "row"} and isinstance(row["row"], dict) for row in rows):
        rows = [row["row"] for row in rows]  # as the hub's server of data sets answers
    return [(f"row {number}", row) for number, row in enumerate(rows, 1)]


def _are_rows(value: Any) -> bool:
    """Whether a value is a list of objects, and not the turns of a chat."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return False
    return not any({"role", "content"} <= set(one) or {"from", "value"} <= set(one) for one in value)


def _are_columns(found: dict[str, list[Any]]) -> bool:
    return not any(isinstance(cell, dict) for column in found.values() for cell in column)


def _of_columns(path: Path, found: dict[str, list[Any]]) -> list[Row]:
    lengths = {name: len(column) for name, column in found.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"'{name}' {length}" for name, length in lengths.items())
        raise UsageError(f"{path}: the columns have different numbers of values ({said}); each row needs one of each")
    return [dict(zip(found, cells, strict=True)) for cells in zip(*found.values(), strict=True)]


def _is_by_number(found: dict[str, Any]) -> bool:
    """Whether each column is an object by row number, as pandas writes a table."""
    columns = list(found.values())
    return bool(columns) and all(
        isinstance(column, dict) and column and all(key.isdecimal() for key in column) for column in columns
    )


def _checked(path: Path, place: str, row: Row) -> Row:
    if all(name == name.strip() and name for name in row):
        return row
    try:
        names = column_names(path, row)
    except UsageError as error:
        raise UsageError(str(error).replace(str(path), f"{path}, {place}", 1)) from None
    return {name: value for name, value in zip(names, row.values(), strict=True) if name}


def _refuse_halves(path: Path, rows: list[tuple[str, Row]]) -> None:
    """JSON can spell half of a character, which no file and no model takes."""
    for place, row in rows:
        try:
            json.dumps(row, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UsageError(f"{path}, {place}: half a character (\\ud8...); write the character anew") from None
