"""Files that a build may replace or remove: those that an earlier build wrote and listed, and no others.

Every build leaves a list of what it wrote beside its files. A name that is not on the list belongs to somebody else.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import inside
from mlc_bench.records.record import write_text

LIST = ".mlc-bench-files.json"
_NAME = re.compile(r"(?:plots/)?[A-Za-z0-9][^/\\]*")  # never a path that leads elsewhere
Owned = dict[str, str | None]
"""Name -> sha256 of what was written; None where an older version wrote it without a list."""


def listed(folder: Path) -> Owned | None:
    """What earlier builds wrote into a folder; None where there is no list that can be read."""
    try:
        found = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: str(digest) or None for name, digest in found.items() if _NAME.fullmatch(name)}


def plain(names: Iterable[str]) -> Owned:
    """Names that an older version wrote without a list."""
    return {name: None for name in names if _NAME.fullmatch(name)}


def write(
    folder: Path, content: Mapping[str, str | bytes], earlier: Mapping[str, str | None], keep: Iterable[str] = ()
) -> list[Path]:
    """Write the files, remove what is in `earlier` and neither made nor in `keep`; the paths written.

    A file that was changed since it was listed is not removed. Raises UsageError, before anything is written, where a
    file of one of these names is not in `earlier` and holds something else: one that holds the same came with a newer
    version of the repository.
    """
    for name in {*content, *earlier}:
        inside(folder, name, f"{folder}: the file")
    made = {name: _digest(value if isinstance(value, bytes) else value.encode()) for name, value in content.items()}
    for name in content:
        path = folder / name
        if name not in earlier and path.exists() and not (path.is_file() and _digest(path.read_bytes()) == made[name]):
            raise UsageError(f"'{folder / name}' was not written by an earlier build; move it, or name another folder")
    _list(folder, dict(earlier) | made)  # first: a build that is killed midway knows its own files
    for name, value in content.items():
        path = folder / name
        if isinstance(value, str):
            write_text(path, value)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)
    kept = {name: earlier[name] for name in keep if name in earlier and name not in made}
    for name in sorted(earlier.keys() - made.keys() - kept.keys()):
        path = folder / name
        if path.is_file() and earlier[name] in (None, _digest(path.read_bytes())):
            path.unlink()
    _list(folder, kept | made)
    return [folder / name for name in content]


def _list(folder: Path, names: Mapping[str, str | None]) -> None:
    known = {name: digest or "" for name, digest in sorted(names.items())}
    write_text(folder / LIST, json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
