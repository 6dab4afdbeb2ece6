"""One file for each method: `Config` (its settings), `NEEDS` (what its rows must have, as `data.require` takes it) and
`build(run)` (its trainer). The folder is the list of them.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from mlc_bench.baselines.config import MLC
from mlc_bench.core.errors import unknown


def names() -> list[str]:
    """The methods, as the command line writes them."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


_OBJECTIVES = {"rank": "+mlc", "signed": "+mlc.signed", "cosine": "+cosine", "contrast": "+mlc.contrast"}


def label(name: str, mlc: MLC | None) -> str:
    """What a run trains, by name: the method, and the objective that is mixed in, whatever method brought it.

    A method may be another one with an objective of its own (`BASE`): it has its own name with this objective only.
    """
    own = get(name).Config.model_fields["mlc"].default
    objective = mlc.objective if mlc and mlc.weight else None
    if own is not None and objective == own.objective:
        return name
    base = name if own is None else get(name).BASE
    return base + (_OBJECTIVES[objective] if objective else "")


def get(name: str) -> Any:
    """The module of a method. Raises UsageError for a name that is none."""
    if name not in names():
        raise unknown("method", name, names())
    return import_module(f"{__name__}.{name.replace('-', '_')}")
