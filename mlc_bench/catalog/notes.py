"""Lists that people keep beside a task: JSON lines, each of which is checked by whoever keeps the list."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mlc_bench.catalog.reading import read_json_lines
from mlc_bench.core import bounded
from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import inside

Note = TypeVar("Note")


def read(pack: Path, name: str, parse: Callable[[dict[str, Any]], Note]) -> list[Note]:
    """The lines of a list in a task's folder; none where there is no list.

    Raises UsageError for a link that leads out of the folder, and naming the first line that `parse` refuses.
    """
    path = inside(pack, name, f"{pack}: the file")
    if not path.is_file() or not bounded.read_bytes(path).strip():
        return []
    found = []
    for number, row in read_json_lines(path):
        try:
            found.append(parse(row))
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}") from None
    return found
