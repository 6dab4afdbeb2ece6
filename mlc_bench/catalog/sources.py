"""Where the files of task data are, how they get there, and whether they are the right ones.

A source (a task's `dataset_kwargs`) names files by their paths below `files`, a folder that is looked for in
`--data-dir`, then in our cache; what is absent is downloaded into the cache. Digests are pinned in the task file
(`sha256`) or in a list beside it (`sha256sums`, as `sha256sum` writes it). Of a file without a pinned digest the digest
is kept at its first use; where the file has changed since, that is said, and it is taken as new.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlc_bench.core import bounded
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.core.inside import check_relative, inside, inside_pack
from mlc_bench.core.progress import say

Source = dict[str, Any]
_VARIABLE = "MLC_BENCH_DATA"

_PACKAGE = Path(__file__).resolve().parents[1]
TASKS = _PACKAGE / "tasks"
IS_CHECKOUT = not TASKS.is_dir()  # an editable install: the folder keeps its place in the repository
if IS_CHECKOUT:
    TASKS = _PACKAGE.parent / "tasks"


def check_not_installed(folder: Path, instead: str) -> None:
    """Raises UsageError, saying what to do instead, for a folder of an installed package: nobody writes there."""
    if not IS_CHECKOUT and folder.resolve().is_relative_to(_PACKAGE):
        raise UsageError(f"'{folder}' belongs to the installed package; {instead}")


def root(source: Source) -> Path:
    """The folder that a source's own paths are relative to: that of the task packs."""
    return Path(source.get("root") or TASKS)


def own(source: Source, key: str) -> Path:
    """The path of a source's own file or folder. Raises UsageError where a pack from elsewhere names one outside."""
    if "pack" in source:
        return inside_pack(Path(source["pack"]), source[key], f"'{key}'")
    return root(source) / source[key]


def cache_dir() -> Path:
    """Our folder for downloads and converted models: $MLC_BENCH_CACHE, else ~/.cache/mlc-bench."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MLC_BENCH_CACHE") or Path(home) / "mlc-bench")


def use_data(folder: Path | None) -> None:
    """Look for downloaded data in this folder first, in this process; None leaves it as it is.

    Raises UsageError for what is not a folder.
    """
    if folder is None:
        return
    if not folder.is_dir():
        raise UsageError(f"--data-dir '{folder}' is not a folder")
    os.environ[_VARIABLE] = str(folder.resolve())


@contextlib.contextmanager
def using_data(folder: Path | None) -> Iterator[None]:
    """As `use_data`, until the end of the block."""
    before = os.environ.get(_VARIABLE)
    try:
        use_data(folder)
        yield
    finally:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before


def sha256(content: bytes) -> str:
    """The digest of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def present(source: Source, name: str) -> Path | None:
    """The path of a source's file on this machine, unread and unverified; None where it is not here."""
    for folder in _folders():
        if (path := _below(folder, source, name)).is_file():
            return path
    return None


def _below(folder: Path, source: Source, name: str) -> Path:
    """Where a source's file is below a folder of ours. Raises UsageError where it would be anywhere else.

    The user may keep data on another disk by a link; a task from elsewhere does not get to follow one.
    """
    path = "/".join(part for part in (source.get("files"), name) if part)
    inside(folder, name, "the file", follow=False)
    return inside(folder, path, "the file", follow="pack" in source)


def _folders() -> list[Path]:
    """Where data are looked for: --data-dir, then our cache."""
    named = [Path(folder) for folder in [os.environ.get(_VARIABLE)] if folder]
    return [*named, cache_dir() / "data"]


def content(source: Source, name: str) -> tuple[Path, bytes]:
    """A file's path and bytes, downloaded where it is absent.

    Raises PrerequisiteError where it cannot be had, and for bytes that are not those of the pinned digest.
    """
    path = present(source, name) or _download(source, name)
    found = bounded.read_bytes(path)
    expected = _pinned(source, name)
    if expected is None:
        _note(source, name, path, found)
        return path, found
    if (digest := sha256(found)) != expected:
        raise PrerequisiteError(
            f"{path} is not the file that the task was made for (sha256 {digest[:12]}…, expected {expected[:12]}…); "
            f"remove it, and get {origin(source, name)}"
        )
    return path, found


def names(source: Source) -> list[str] | None:
    """The files that the source's list of digests names; None without such a list."""
    return list(_digests(_sums(source))) if "sha256sums" in source else None


def local_names(source: Source, patterns: Iterable[str]) -> list[str]:
    """The files of a source that are on this machine, by their paths below its folder, as the patterns name them."""
    patterns = list(patterns)
    for pattern in patterns:
        check_relative(pattern, "the path")
    found = set()
    for folder in _folders():
        below = inside(folder, source["files"], "the folder of 'files'", follow="pack" in source)
        found |= {
            str(path.relative_to(below)) for pattern in patterns for path in below.glob(pattern) if path.is_file()
        }
    return sorted(found)


def forget() -> None:
    """Read lists of digests anew: they may have changed since."""
    _digests.cache_clear()


def origin(source: Source, name: str) -> str:
    """Where a file comes from, for people."""
    if "hub" in source:
        return f"'{_hub_name(source, name)}' of the hub's data set {source['hub']} at revision {source['revision']}"
    if "url" not in source:
        return f"'{name}' from where the task's card says"
    return source["url"] if "file" in source else source["url"] + quote(name)


def _pinned(source: Source, name: str) -> str | None:
    if "sha256sums" not in source:
        return source.get("sha256")
    path = _sums(source)
    if name not in _digests(path):
        raise UsageError(f"{path} has no digest for '{name}'")
    return _digests(path)[name]


def _sums(source: Source) -> Path:
    return own(source, "sha256sums")


@lru_cache(maxsize=16)
def _digests(path: Path) -> dict[str, str]:
    found = {}
    try:
        text = bounded.read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); it holds the digests of the task's files") from None
    for number, line in enumerate(text.splitlines(), 1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise UsageError(f"{path}, line {number}: '<sha256>  <file>' is expected, as sha256sum writes it")
        found[name] = digest
    return found


def _note(source: Source, name: str, path: Path, found: bytes) -> None:
    """Say where a file is not as it was at its last use."""
    memo = _below(cache_dir() / "first-use", source, f"{name}.sha256")
    digest = sha256(found)
    known = memo.read_text().strip() if memo.is_file() else None
    if known == digest:
        return
    if known is not None:
        say(f"{path} has changed since its last use (sha256 {digest[:12]}…, then {known[:12]}…): it is taken as new")
    memo.parent.mkdir(parents=True, exist_ok=True)
    memo.write_text(digest + "\n")


def _hub_name(source: Source, name: str) -> str:
    return source.get("hub_file") or name


def _download(source: Source, name: str) -> Path:
    target = _below(cache_dir() / "data", source, name)
    below = f" in the folder '{source['files']}'" if source.get("files") else ""
    remedy = (
        f"download {origin(source, name)}, save it as '{name}'{below} in a folder, and name the folder with "
        "--data-dir or MLC_BENCH_DATA"
    )
    if "hub" not in source and "url" not in source:
        raise PrerequisiteError(f"the data of '{name}' is not here; {remedy}")
    try:
        if "hub" in source:
            from huggingface_hub import hf_hub_download

            found = bounded.read_bytes(
                Path(
                    hf_hub_download(
                        source["hub"], _hub_name(source, name), repo_type="dataset", revision=source["revision"]
                    )
                )
            )
        else:
            from urllib.request import urlopen

            with urlopen(origin(source, name), timeout=30) as response:
                found = response.read(bounded.LARGEST_DATA + 1)
            if len(found) > bounded.LARGEST_DATA:
                raise UsageError(f"{origin(source, name)} has more than {bounded.LARGEST_DATA:,} bytes; split it")
    except UsageError:
        raise
    except Exception as error:  # any network, hub or permission problem has the same remedy
        raise PrerequisiteError(f"cannot get the data of '{name}' ({type(error).__name__}); {remedy}") from error
    if (expected := _pinned(source, name)) and sha256(found) != expected:
        raise PrerequisiteError(f"what came from {origin(source, name)} is not the expected file (wrong sha256)")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    partial.write_bytes(found)
    partial.replace(target)
    return target
