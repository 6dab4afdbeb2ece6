"""One file for each method: `Config` (its settings), `NEEDS` (what its rows must have, as `data.require` takes it) and
`build(run)` (its trainer). The folder is the list of them.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from mlc_bench.errors import unknown


def names() -> list[str]:
    """The methods, as the command line writes them."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


def get(name: str) -> Any:
    """The module of a method. Raises UsageError for a name that is none."""
    if name not in names():
        raise unknown("method", name, names())
    return import_module(f"{__name__}.{name.replace('-', '_')}")
