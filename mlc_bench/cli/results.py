"""Commands over finished runs: `mlc-bench show`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.cli.common import Json
from mlc_bench.errors import UsageError


def show(path: Annotated[Path, typer.Argument(help="A run's folder, or its run.json.")], as_json: Json = False) -> None:
    """Print the table of a finished run again."""
    from mlc_bench import record, table

    file = path / "run.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"there is no run record at '{path}'")
    found = record.read(file)
    print(
        found.model_dump_json(indent=1) if as_json else table.text(found, shutil.get_terminal_size((120, 24)).columns)
    )
