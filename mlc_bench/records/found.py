"""Where records are: the files at or under some folders."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import say

_SKIPPED = {"samples", "verdicts", "responses", ".git", ".venv"}


def files(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """(name relative to the given path, path) of each record (`run*.json`) at or under the paths.

    Folders of samples and responses are not searched, and a link that leads out is left out. Raises UsageError for a
    path that does not exist.
    """
    for given in paths:
        if given.is_file():
            yield given.name, given
            continue
        if not given.is_dir():
            raise UsageError(f"there is no folder or record '{given}'")
        for folder, names, contents in os.walk(given):
            names[:] = sorted(name for name in names if name not in _SKIPPED)
            for name in sorted(contents):
                if name.startswith("run") and name.endswith(".json"):
                    path = Path(folder, name)
                    if path.resolve().is_relative_to(given.resolve()):
                        yield path.relative_to(given).as_posix(), path
                    else:
                        say(f"left out: {path} is a link that leads out of {given}")
