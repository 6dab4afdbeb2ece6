"""Errors that a user can fix, each with the exit code that the command line ends with."""

import difflib
import errno
from collections.abc import Iterable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# As the system, safetensors and torch's writer say it, where they raise no OSError.
_FULL_WORDS = ("No space left", "File too large", "unexpected pos", "PytorchStreamWriter failed")


class UserError(Exception):
    """A problem outside the program. The message says what is wrong, where, and how to fix it, in one line."""

    exit_code = 2


class UsageError(UserError):
    """A wrong name, option or file."""


class PrerequisiteError(UserError):
    """Something the run needs is missing: weights, data, a package, a server, memory, disk space."""

    exit_code = 3


class SpentError(UserError):
    """The money that a command may spend is spent; the same command goes on."""

    exit_code = 1


class StaleError(UserError):
    """Results that this version cannot read or compare."""

    exit_code = 4


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room on the disk, or no more for this user."""
    return getattr(error, "errno", None) in _FULL or any(words in str(error) for words in _FULL_WORDS)


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """An error for a wrong name that offers the nearest right ones, or all of them where none is near."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {kind} '{name}'; {hint}")
