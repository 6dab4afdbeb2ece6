"""The answers in a log of Inspect (`.eval`): a zip archive with one JSON file a sample, below `samples/`.

The layout is that of Inspect's schema version 2 (inspect_ai/log/_recorders/eval.py). Nothing is written to disk, and
what the archive claims to hold is measured before it is unpacked. Inspect of 2026 packs by zstd, which `zipfile` does
not know before Python 3.14: pyarrow unpacks it.
"""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mlc_bench.catalog import limits
from mlc_bench.catalog.reading import files
from mlc_bench.catalog.reading.table import Row
from mlc_bench.core import bounded
from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import shown

SUFFIX = ".eval"
LARGEST_SAMPLE = 64 << 20  # bytes of a sample, with all that happened on the way to its answer
_ZSTD = 93  # the zip format's number for it (APPNOTE 4.4.5)
_CUT = ("max_tokens", "model_length", "length")
_ATTACHMENT = "attachment://"


def read(path: Path) -> list[tuple[str, Row]]:
    """(which sample, row) of each sample, in the order of the archive.

    A row has `id`, `epoch`, `prompt` (the last message of the user), `response`, `truncated`, and `language` where the
    sample's metadata say it. `blocked`: the provider filtered the answer; `unanswered`: the sample ended without one.

    Raises UsageError for what is no such log, is damaged, is too large, or names a member outside of its folder.
    """
    content = files.content(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = _samples(path, archive)
            found = [_row(path, *one) for one in _objects(path, content, archive, members)]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
        reason = " ".join(str(error).split())[:80]
        raise UsageError(f"{path}: not an Inspect log that can be read ({reason}); get it again") from None
    if not found:
        raise UsageError(f"{path} has no samples; run Inspect without --no-log-samples")
    return found


def _samples(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members that hold samples; of several with one name the last, which Inspect reads, too."""
    total = 0
    for _, member in limits.counted(path, enumerate(archive.infolist())):
        name = PurePosixPath(member.filename)
        if name.is_absolute() or ".." in name.parts:
            raise UsageError(f"{path}: the member {shown(member.filename)} leads out of the log; get the log again")
        total += member.file_size
    if total > bounded.LARGEST_DATA:
        raise UsageError(
            f"{path} holds {total:,} bytes when it is unpacked, more than the {bounded.LARGEST_DATA:,} that are read; "
            "split it"
        )
    names = [name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")]
    return [archive.getinfo(name) for name in dict.fromkeys(names)]


def _objects(
    path: Path, content: bytes, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for member in members:
        where = f"sample {shown(member.filename)}"
        if member.file_size > LARGEST_SAMPLE:
            raise UsageError(f"{path}, {where}: more than {LARGEST_SAMPLE >> 20} MiB; take it out of the log")
        packed = _from_zstd(content, member) if member.compress_type == _ZSTD else archive.read(member)
        try:
            sample = json.loads(packed)
        except (ValueError, RecursionError):
            raise UsageError(f"{path}, {where}: not JSON that can be read; get the log again") from None
        if not isinstance(sample, dict):
            raise UsageError(f"{path}, {where}: a JSON object is expected; get the log again")
        yield where, sample


def _from_zstd(content: bytes, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes, never more than it claims to have. Raises BadZipFile where they are others."""
    import pyarrow

    header = content[member.header_offset : member.header_offset + 30]
    if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile("a member is not where the archive says")
    start = member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))  # behind the name and extra fields
    packed = pyarrow.py_buffer(content[start : start + member.compress_size])
    try:
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(packed), "zstd") as stream:
            found: bytes = stream.read(member.file_size + 1)
    except (pyarrow.ArrowException, OSError) as error:
        raise zipfile.BadZipFile(str(error)) from None
    if len(found) != member.file_size or zlib.crc32(found) != member.CRC:
        raise zipfile.BadZipFile(f"bad CRC-32 of {shown(member.filename)}")
    return found


def _row(path: Path, where: str, sample: dict[str, Any]) -> tuple[str, Row]:
    attached = sample.get("attachments")
    attached = attached if isinstance(attached, dict) else {}
    metadata = sample.get("metadata")
    row: Row = {"id": sample.get("id"), "epoch": sample.get("epoch", 1)}
    if isinstance(metadata, dict) and isinstance(metadata.get("language"), str):
        row["language"] = metadata["language"]
    row["prompt"] = _prompt(sample.get("input"), attached)
    if row["id"] is None or row["prompt"] is None:
        missing = "id" if row["id"] is None else "input"
        raise UsageError(f"{path}, {where}: '{missing}' is missing or is no text; get the log again")
    choice = _choice(sample)
    answer = _text(_within(choice, "message", "content"), attached)
    row["response"] = answer or ""
    row["truncated"] = _within(choice, "stop_reason") in _CUT
    if _within(choice, "stop_reason") == "content_filter":
        row["blocked"] = "content_filter"
    elif answer is None:
        row["unanswered"] = "error" if sample.get("error") else "no answer"
    limits.check_row(path, where, row)
    return where, row


def _choice(sample: dict[str, Any]) -> Any:
    """The first of the model's answers; logs of old versions have its text alone."""
    output = sample.get("output")
    choices = _within(output, "choices")
    if isinstance(choices, list) and choices:
        return choices[0]
    completion = _within(output, "completion")
    return {"message": {"content": completion}} if completion else None


def _prompt(given: Any, attached: dict[str, Any]) -> str | None:
    """The text of the sample's input, or what the user said last in it."""
    if isinstance(given, list):
        said = [one.get("content") for one in given if isinstance(one, dict) and one.get("role") == "user"]
        given = said[-1] if said else None
    return _text(given, attached)


def _text(content: Any, attached: dict[str, Any]) -> str | None:
    """A message's text, without reasoning and pictures; texts that the log keeps apart are put in their places."""
    if isinstance(content, list):
        parts = [one.get("text") for one in content if isinstance(one, dict) and one.get("type") == "text"]
        texts = [text for part in parts if (text := _text(part, attached)) is not None]
        return "\n".join(texts) if texts else None
    if not isinstance(content, str):
        return None
    if content.startswith(_ATTACHMENT):
        kept = attached.get(content.removeprefix(_ATTACHMENT))
        return kept if isinstance(kept, str) else None
    return content


def _within(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content
