"""How much a data file may hold, found out before it is unpacked: a few bytes can stand for gigabytes."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from mlc_bench.core.errors import UsageError

MOST_ROWS = 2_000_000
LARGEST_ROW = 4 << 20  # characters of a line
LARGEST_UNPACKED = 1 << 29  # bytes of what a workbook or a Parquet file holds
MOST_CELLS = 20_000_000
_BATCH = 64  # rows of a Parquet file that are measured at a time
_PACKED = (".zip", ".tar.gz", ".tgz", ".bz2", ".xz", ".zst", ".tar", ".7z", ".rar", ".lz4")
_MAGIC = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf", b"Rar!")
Item = TypeVar("Item")


def check_not_packed(name: str, where: str, start: bytes = b"") -> None:
    """Raises UsageError for an archive or packed file, by its name or how its bytes start; gzip's of one file aside."""
    suffixes = name.lower()
    if suffixes.endswith(_PACKED) or (start.startswith(_MAGIC) and not suffixes.endswith(".xlsx")):
        raise UsageError(f"{where} is an archive or compressed; unpack it, and name the file in it")


def check(path: Path, suffix: str, content: bytes) -> None:
    """Raises UsageError for a workbook or Parquet file that holds too much or is damaged."""
    if suffix == ".xlsx":
        _check_workbook(path, content)
    elif suffix == ".parquet":
        _check_parquet(path, content)


def counted(path: Path, rows: Iterable[Item]) -> Iterator[Item]:
    """The rows. Raises UsageError at the first of too many."""
    for number, row in enumerate(rows, 1):
        if number > MOST_ROWS:
            raise UsageError(f"{path} has more than {MOST_ROWS:,} rows; split it")
        yield row


def check_line(path: Path, number: int, line: str) -> None:
    """Raises UsageError for a line that no prompt needs."""
    if len(line) > LARGEST_ROW:
        raise UsageError(f"{path}, line {number}: more than {LARGEST_ROW:,} characters in a row")


def check_row(path: Path, place: str, row: dict[Any, Any]) -> None:
    """Raises UsageError for a text in a row that no prompt is as long as."""
    if any(isinstance(value, str) and len(value) > LARGEST_ROW for value in row.values()):
        raise UsageError(f"{path}, {place}: more than {LARGEST_ROW:,} characters in a row")


def check_cells(path: Path, cells: int) -> None:
    """Raises UsageError where a workbook says that it has more cells than anybody wrote."""
    if cells > MOST_CELLS:
        raise UsageError(f"{path} has more than {MOST_CELLS:,} cells; take out the empty rows and columns")


def _check_workbook(path: Path, content: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(member.file_size for member in archive.infolist())  # more than it says is never unpacked
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise UsageError(f"{path}: not an Excel workbook that can be read ({error}); save it as CSV") from None
    check_unpacked(path, size)


def _check_parquet(path: Path, content: bytes) -> None:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows > MOST_ROWS:
            raise UsageError(f"{path} has more than {MOST_ROWS:,} rows; split it")
        size = 0
        for batch in file.iter_batches(batch_size=_BATCH):  # a value that is written once may stand in every row
            size += sum(_unpacked(column) for column in batch.columns)
            check_unpacked(path, size)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:80]
        raise UsageError(f"{path}: not a Parquet file that can be read ({reason}); get it again") from None


def _unpacked(column: Any) -> int:
    """The bytes of a column's values when each row has its own."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        return int(column.dictionary_decode().nbytes)
    return int(column.nbytes)


def check_unpacked(path: Path, size: int) -> None:
    """Raises UsageError for more bytes than a file of prompts has."""
    if size > LARGEST_UNPACKED:
        raise UsageError(f"{path} holds more than {LARGEST_UNPACKED >> 20:,} MiB when it is unpacked; split it")
