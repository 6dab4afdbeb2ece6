"""From a data file to its rows, in the format that its name ends in."""

import io
from pathlib import Path
from typing import Any

from mlc_bench.catalog import limits
from mlc_bench.catalog.reading import files, json_rows, separated
from mlc_bench.catalog.reading.table import Table, column_names, of_cells
from mlc_bench.core.errors import UsageError

SUFFIXES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx")


def read(path: Path) -> Table:
    """A user's file, which must have rows.

    Raises UsageError for a file that is not there, has no rows, or cannot be read, with the place of what is wrong.
    """
    found = parse(path, files.content(path))
    if not found.rows:
        raise UsageError(f"{path} has no rows")
    return found


def parse(path: Path, content: bytes, heading: bool = True) -> Table:
    """The rows of a file's bytes; what ends in none of the known names is read as JSON or JSON lines.

    Raises UsageError naming the file and the place of what cannot be read.
    """
    found = _parsed(path, content, heading)
    for place, row in found.rows:
        limits.check_row(path, place, row)
    return found


def _parsed(path: Path, content: bytes, heading: bool) -> Table:
    suffix, plain = files.unpacked(path, content)
    limits.check(path, suffix, plain)
    if suffix == ".parquet":
        return _parquet(path, plain)
    if suffix == ".xlsx":
        return of_cells(path, _excel(path, plain), heading)
    text = files.text(path, plain)
    if suffix in (".csv", ".tsv", ".tab"):
        return of_cells(path, separated.cells(path, text, "," if suffix == ".csv" else "\t", heading), heading)
    return json_rows.table(path, text, is_document=suffix == ".json")


def _parquet(path: Path, content: bytes) -> Table:
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(io.BytesIO(content))
        names = column_names(path, found.column_names)
        rows = found.rename_columns(names).to_pylist()
    except UsageError:
        raise
    except Exception as error:  # whatever damaged bytes make of it
        reason = " ".join(str(error).split())[:80]
        raise UsageError(f"{path}: not a Parquet file that can be read ({reason}); get it again") from None
    return Table(names, [(f"row {number}", row) for number, row in enumerate(rows, 1)])


def _excel(path: Path, content: bytes) -> list[tuple[Any, ...]]:
    """The cells of a workbook's first sheet."""
    import openpyxl

    try:
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        found, total = [], 0
        for cells in book.worksheets[0].iter_rows(values_only=True):
            limits.check_cells(path, total := total + max(len(cells), 1))
            found.append(cells)
        return found
    except UsageError:
        raise
    except Exception as error:  # zip, XML or values: whatever damaged bytes make of it
        reason = " ".join(str(error).split())[:80]
        raise UsageError(f"{path}: not an Excel workbook that can be read ({reason}); save it as CSV") from None
