"""Places that a command will write to: looked at before any work, so that nothing is computed for nothing."""

import os
import tempfile
from pathlib import Path

from mlc_bench.core.errors import UsageError, is_full


def check_folder(folder: Path, option: str) -> None:
    """Raises UsageError unless files can be put into a folder of this name, whether or not it exists.

    `option` is what names it. It is tried out beside the place and taken away again: permissions alone do not tell
    what a file system takes (/proc has folders that nobody can write to).
    """
    place = folder.absolute()
    existing = next(path for path in (place, *place.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryDirectory(prefix=".mlc-bench-", dir=existing) as tried:
            Path(tried, place.relative_to(existing)).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        if is_full(error):
            raise
        reason = f" ({error.strerror})" if isinstance(error, OSError) else ""
        raise UsageError(
            f"{option} '{folder}': '{existing}' is not a folder that can be written to{reason}; name another folder"
        ) from None


def check_file(file: Path, option: str) -> None:
    """As `check_folder`, of a file that will be written."""
    if file.is_dir():
        raise UsageError(f"{option} '{file}' is a folder; name a file")
    check_folder(file.parent, option)
