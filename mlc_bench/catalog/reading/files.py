"""From a file's bytes to its text. What is no UTF-8 is refused, with the line and what to do."""

import gzip
import io
import zlib
from pathlib import Path

from mlc_bench.catalog import limits
from mlc_bench.core import bounded
from mlc_bench.core.errors import UsageError

_GZIP = b"\x1f\x8b"


def content(path: Path) -> bytes:
    """The bytes of a user's file. Raises UsageError where there is none, or where it cannot be read."""
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name a file")
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    try:
        return bounded.read_bytes(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def unpacked(path: Path, packed: bytes) -> tuple[str, bytes]:
    """The suffix that says a file's format, in small letters, and its bytes without gzip's packing."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    if not packed.startswith(_GZIP):
        limits.check_not_packed(name.name, str(path), packed[:8])
        return name.suffix.lower(), packed
    limits.check_not_packed(name.name, str(path))
    try:
        with gzip.open(io.BytesIO(packed)) as file:  # which may be several packed ones in a row
            found = file.read(limits.LARGEST_UNPACKED + 1)
        limits.check_unpacked(path, len(found))
        return name.suffix.lower(), found
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path}: damaged gzip file ({error}); get it again") from None


def decode(path: Path) -> str:
    """A file as text, without a byte order mark. Raises UsageError as `content` and `text` do."""
    return text(path, content(path))


def text(path: Path, found: bytes) -> str:
    """Bytes as text, without a byte order mark. Raises UsageError naming the line of what is not UTF-8 text."""
    if found.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{path} is in UTF-16, not UTF-8; save the file as UTF-8")
    try:
        decoded = found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: broken UTF-8; save the file as UTF-8") from None
    if (at := decoded.find("\0")) >= 0:
        line = decoded.count("\n", 0, at) + 1
        raise UsageError(
            f"{path}, line {line}: a NUL character; remove it, or save the file as UTF-8 if it is in UTF-16"
        )
    return decoded
