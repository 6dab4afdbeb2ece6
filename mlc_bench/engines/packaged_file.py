"""A file that comes in parts inside Python packages: found without importing them, joined, and checked.

Which packages, in the order of their parts, with the hashes that pip checks, is in `packages/<name>.txt`.
"""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.core.progress import Report

_LISTS = Path(__file__).parent / "packages"
_BLOCK = 1 << 22  # bytes


@dataclass(frozen=True)
class PackagedFile:
    """`parts`: the pattern of a part's name; `size` (bytes) and `sha256` are those of the whole file."""

    packages: str
    parts: str
    size: int
    sha256: str

    @property
    def install(self) -> str:
        """The command that installs the packages: exact versions and hashes, no dependencies, no code run."""
        return f"pip install --no-deps --only-binary :all: --require-hashes -r {_LISTS / self.packages}"

    @property
    def _reinstall(self) -> str:
        return f"run: {self.install.replace('install', 'install --force-reinstall', 1)}"

    def is_installed(self) -> bool:
        """Whether all packages are there, in the versions asked for."""
        return not self._absent()

    def join(self, target: Path, report: Report) -> None:
        """Write the whole file to `target`; `report(done, total)` counts mebibytes.

        Raises PrerequisiteError where a package is absent or of another version, a part is missing or cut, or the
        content is not that of the digest; OSError where the disk is full.
        """
        if absent := self._absent():
            raise PrerequisiteError(f"not installed: {', '.join(absent)}; run: {self.install}")
        digest, done = hashlib.sha256(), 0
        with target.open("wb") as whole:
            for part in self._parts():
                with part.open("rb") as file:
                    while block := file.read(_BLOCK):
                        digest.update(block)
                        whole.write(block)
                        done += len(block)
                        report(done >> 20, self.size >> 20)
        if done != self.size:
            raise PrerequisiteError(
                f"the packages of {self.packages} hold {done:,} bytes of weights instead of {self.size:,}: a part is "
                f"missing, cut or too long; {self._reinstall}"
            )
        if (found := digest.hexdigest()) != self.sha256:
            raise PrerequisiteError(
                f"the packages of {self.packages} hold other weights (sha256 {found[:12]}…, expected "
                f"{self.sha256[:12]}…); {self._reinstall}"
            )

    def _absent(self) -> list[str]:
        """The requirements that are not met, as `name==version`."""
        return [f"{name}=={version}" for name, version in self._required() if _installed(name) != version]

    def _required(self) -> list[tuple[str, str]]:
        """Name and version of each package."""
        lines = (_LISTS / self.packages).read_text(encoding="utf-8").splitlines()
        requirements = [line.split()[0] for line in lines if line and not line.startswith("#")]
        return [(name, version) for name, _, version in (line.partition("==") for line in requirements)]

    def _parts(self) -> list[Path]:
        """The parts in their order."""
        found = []
        for name, _ in self._required():
            package = importlib.metadata.distribution(name)
            for path in package.files or []:
                if fnmatch(path.name, self.parts):
                    found.append(Path(str(package.locate_file(path))))
        if gone := [path for path in found if not path.is_file()]:
            raise PrerequisiteError(f"the part {gone[0]} is missing; {self._reinstall}")
        return found


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
