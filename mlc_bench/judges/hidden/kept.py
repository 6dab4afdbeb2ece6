"""Hidden states on the disk, so that another fit, or one that was killed, computes none of them again."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlc_bench.core.progress import Report
from mlc_bench.core.spec import digest
from mlc_bench.judges.hidden import states
from mlc_bench.judges.hidden.states import Encoder

_PART = 512  # exchanges between two writings


def computed(
    encoder: Encoder, model_digest: str, exchanges: Sequence[tuple[str, str]], path: Path | None, report: Report
) -> NDArray[np.float32]:
    """The states [n, 2 H] of (prompt, answer) pairs; those in `path` are read, the others computed and put there."""
    if path is None:
        return encoder.states(exchanges, report)
    source = digest(model_digest, encoder.layer, encoder.dtype, states.VERSION)
    keys = [
        sha256(f"{source}\0{prompt}\0{answer}".encode("utf-8", "replace")).hexdigest() for prompt, answer in exchanges
    ]
    known = _read(path)
    wanted = {key: pair for key, pair in zip(keys, exchanges, strict=True) if key not in known}
    todo = sorted(wanted, key=lambda key: -len(wanted[key][1]))
    for start in range(0, len(todo), _PART):
        part = todo[start : start + _PART]
        found = encoder.states([wanted[key] for key in part], _after(start, len(todo), report))
        known |= dict(zip(part, found, strict=True))
        _write(path, known)
    return np.stack([known[key] for key in keys])


def _after(start: int, total: int, report: Report) -> Report:
    return lambda done, _: report(start + done, total)


def _read(path: Path) -> dict[str, NDArray[np.float32]]:
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return dict(zip(stored["keys"].tolist(), stored["states"], strict=True))


def _write(path: Path, known: dict[str, NDArray[np.float32]]) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, keys=np.array(list(known)), states=np.stack(list(known.values())))
    part.replace(path)
