"""Names that become part of a path: of tasks, packs, judges, languages and runs."""

import re
from typing import Any

from mlc_bench.core.errors import UsageError

RULE = "write 1 to 80 letters, digits and ._+-"
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,79}")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)  # devices, on Windows
_LONGEST_SHOWN = 60


def is_name(value: Any) -> bool:
    """Whether a value is a name: 1 to 80 letters (A to Z), digits and `._+-`, the first of them no `.` or `-`.

    A last `.` and the names of Windows' devices are none: the file systems there change them, or have them already.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        return False
    return not is_reserved(value)


def is_reserved(part: str) -> bool:
    """Whether one part of a path is another file, or none, on Windows."""
    return part.endswith((".", " ")) or _RESERVED.fullmatch(part) is not None


def check_name(value: Any, what: str, where: str) -> str:
    """The name. `what`: of what it is one; `where`: the file or option that gives it.

    Raises UsageError for what is no name, whatever its type.
    """
    if not is_name(value):
        raise UsageError(f"{where}: the name of the {what} {shown(value)} is no name; {RULE}")
    return str(value)


def shown(value: Any) -> str:
    """A wrong value in quotes, on one line that any terminal can print, and not too long."""
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + "'"


def folder_name(name: str) -> str:
    """A model's name, which may hold anything, as the first part of a folder's."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "__", name)[:80].strip("._")
