"""Paths that somebody else names: in a task's file, a record, a list of digests. They stay in their folder."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import is_reserved, shown

_LONGEST = 1000  # bytes of a path below its folder, and of one part of it
_LONGEST_PART = 200
_RULE = "(leave '/' and '..' out)"


def inside(folder: Path, name: Any, where: str, follow: bool = True) -> Path:
    """The path `folder / name`, whether or not it exists, for reading and for writing.

    `where`: what names it, as messages begin with; `follow`: links count, too (False: the user made the folder, and
    may have links there).

    Raises UsageError unless `name` is text that leads to something below the folder on every system, links followed.
    """
    if why := _fault(name):
        raise UsageError(f"{where} {shown(name)} {why}; name a path below {folder} {_RULE}")
    path = folder.joinpath(*PurePosixPath(name).parts)
    if follow and not _is_below(folder, path):
        raise UsageError(f"{where} {shown(name)} is a link that leads out of {folder}; put the file itself there")
    return path


def inside_pack(pack: Path, name: Any, where: str) -> Path:
    """A path as a task's file writes it: from the name of its pack on.

    Raises UsageError as `inside` does, where it is not in the pack itself.
    """
    path = inside(pack.parent, name, where, follow=False)
    if not path.is_relative_to(pack):
        raise UsageError(f"{where} {shown(name)} leads out of the pack {pack}; begin with '{pack.name}/' {_RULE}")
    return inside(pack, path.relative_to(pack).as_posix(), where) if path != pack else pack


def check_relative(name: Any, where: str) -> str:
    """A path that is looked for elsewhere, on the hub say. Raises UsageError as `inside` does, links aside."""
    if why := _fault(name):
        raise UsageError(f"{where} {shown(name)} {why}; name a path below its folder {_RULE}")
    return str(name)


def _fault(name: Any) -> str | None:
    """Why a text is no path below a folder; None where it is one."""
    if not isinstance(name, str) or not name.strip():
        return "is no path"
    if any(not char.isprintable() for char in name):
        return "has a character that cannot be printed"
    if name.startswith(("/", "~")) or "\\" in name or re.match("[A-Za-z]:", name):
        return "leads out of its folder"
    parts = PurePosixPath(name).parts
    if ".." in parts:
        return "leads out of its folder"
    if not parts:
        return "is no path below a folder"
    if len(name.encode()) > _LONGEST or any(len(part.encode()) > _LONGEST_PART for part in parts):
        return "is too long"
    if any(map(is_reserved, parts)):
        return "is a name that some systems keep for themselves"
    return None


def _is_below(folder: Path, path: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return False
