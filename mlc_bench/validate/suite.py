"""A suite file."""

from pathlib import Path

from mlc_bench.validate.source import Faults, read_yaml

FOLDER = Path(__file__).resolve().parent.parent / "suites"


def known() -> list[str]:
    """The names of the suites that mlc-bench comes with."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def check(path: Path, faults: Faults) -> None:
    """Every fault of one suite file."""
    read_yaml(path, faults)
