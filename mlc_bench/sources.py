"""Where the files of task data lie, how they get there, and whether they are the right ones.

A source (a task's `dataset_kwargs`) names files by their paths below `files`, a folder that is looked for in
`--data-dir`, then in our cache; what is absent is downloaded into the cache. Digests are pinned in the task file
(`sha256`) or in a list beside it (`sha256sums`, as `sha256sum` writes it). A file without a pinned digest is trusted
at its first use: its digest is kept, and another content is refused from then on.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlc_bench.errors import PrerequisiteError, UsageError

Source = dict[str, Any]

TASKS = Path(__file__).resolve().parent / "tasks"
if not TASKS.is_dir():  # an editable install: the folder keeps its place in the repository
    TASKS = Path(__file__).resolve().parent.parent / "tasks"


def root(source: Source) -> Path:
    """The folder that a source's own paths are relative to: that of the task packs."""
    return Path(source.get("root") or TASKS)


def cache_dir() -> Path:
    """Our folder for downloads and converted models: $MLC_BENCH_CACHE, else ~/.cache/mlc-bench."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MLC_BENCH_CACHE") or Path(home) / "mlc-bench")


def sha256(content: bytes) -> str:
    """The digest of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def present(source: Source, name: str) -> Path | None:
    """The path of a source's file on this machine, unread and unverified; None where it is not here."""
    for part in (source.get("files", ""), name):  # a task file from elsewhere must not read or write where it likes
        if Path(part).is_absolute() or ".." in Path(part).parts:
            raise UsageError(f"'{part}': the files of a data set lie below one folder; leave '/' and '..' out")
    folders = [Path(folder) for folder in [os.environ.get("MLC_BENCH_DATA")] if folder]
    for folder in [*folders, cache_dir() / "data"]:
        if (path := folder / source.get("files", "") / name).is_file():
            return path
    return None


def content(source: Source, name: str) -> tuple[Path, bytes]:
    """A file's path and bytes, downloaded where it is absent.

    Raises PrerequisiteError where it cannot be had, and for bytes that are not those of the pinned digest.
    """
    path = present(source, name) or _download(source, name)
    found = path.read_bytes()
    expected = _pinned(source, name)
    if expected is None:
        return path, _trusted(source, name, path, found)
    if (digest := sha256(found)) != expected:
        raise PrerequisiteError(
            f"{path} is not the file that the task was made for (sha256 {digest[:12]}…, expected {expected[:12]}…); "
            f"remove it, and get {origin(source, name)}"
        )
    return path, found


def names(source: Source) -> list[str] | None:
    """The files that the source's list of digests names; None without such a list."""
    return list(_digests(root(source) / source["sha256sums"])) if "sha256sums" in source else None


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
    path = root(source) / source["sha256sums"]
    if name not in _digests(path):
        raise UsageError(f"{path} has no digest for '{name}'")
    return _digests(path)[name]


@lru_cache(maxsize=16)
def _digests(path: Path) -> dict[str, str]:
    found = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}); it holds the digests of the task's files") from None
    for number, line in enumerate(text.splitlines(), 1):
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name:
            raise UsageError(f"{path}, line {number}: '<sha256>  <file>' is expected, as sha256sum writes it")
        found[name] = digest
    return found


def _trusted(source: Source, name: str, path: Path, found: bytes) -> bytes:
    memo = cache_dir() / "first-use" / source.get("files", "") / f"{name}.sha256"
    digest = sha256(found)
    if not memo.is_file():
        memo.parent.mkdir(parents=True, exist_ok=True)
        memo.write_text(digest + "\n")
    elif (known := memo.read_text().strip()) != digest:
        raise PrerequisiteError(
            f"{path} has changed since its first use (sha256 {digest[:12]}…, then {known[:12]}…); get the file of then "
            f"again from {origin(source, name)}, or, to start over with this one, remove {memo}"
        )
    return found


def _hub_name(source: Source, name: str) -> str:
    return source.get("hub_file") or name


def _download(source: Source, name: str) -> Path:
    target = cache_dir() / "data" / source.get("files", "") / name
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

            found = Path(
                hf_hub_download(
                    source["hub"], _hub_name(source, name), repo_type="dataset", revision=source["revision"]
                )
            ).read_bytes()
        else:
            from urllib.request import urlopen

            with urlopen(origin(source, name), timeout=30) as response:
                found = response.read()
    except Exception as error:  # any network, hub or permission problem has the same remedy
        raise PrerequisiteError(f"cannot get the data of '{name}' ({type(error).__name__}); {remedy}") from error
    if (expected := _pinned(source, name)) and sha256(found) != expected:
        raise PrerequisiteError(f"what came from {origin(source, name)} is not the expected file (wrong sha256)")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    partial.write_bytes(found)
    partial.replace(target)
    return target
