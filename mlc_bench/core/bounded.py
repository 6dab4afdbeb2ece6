"""Files of others are measured before they are read: a few bytes of a disk can claim to be terabytes."""

import os
import stat
from pathlib import Path

from mlc_bench.core.errors import UsageError

LARGEST_TEXT = 1 << 20  # bytes of a YAML file, of a card, of a list of digests
LARGEST_DATA = 2 << 30  # bytes of a file of rows


def read_bytes(path: Path, most: int = LARGEST_DATA) -> bytes:
    """A file's bytes.

    Raises UsageError for one of more than `most` bytes and for what is no plain file (a folder, a pipe, a device), both
    before anything is read, and OSError where it is absent or must not be read.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that nobody writes to would be waited for
    try:
        _check(path, os.fstat(file), most)
    except UsageError:
        os.close(file)
        raise
    with open(file, "rb") as reader:
        return reader.read(most + 1)


def check_size(path: Path, most: int = LARGEST_DATA) -> None:
    """As `read_bytes`, nothing is read."""
    _check(path, path.stat(), most)


def _check(path: Path, status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path} is not a plain file; put a file there")
    if status.st_size > most:
        raise UsageError(f"{path} has {status.st_size:,} bytes, more than the {most:,} that are read; split it")


def read_text(path: Path, most: int = LARGEST_TEXT) -> str:
    """A file as text in UTF-8, with line ends as `\\n`. Raises as `read_bytes`, and UnicodeDecodeError."""
    text = read_bytes(path, most).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
