"""Commands over finished runs: `mlc-bench show`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.cli.common import Json, read_record


def show(
    path: Annotated[Path, typer.Argument(help="A run's folder, or its run.json.")],
    details: Annotated[
        bool, typer.Option("--details", help="All metrics: treatments of invalid answers, loopholes, kappa, ...")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the table of a finished run again."""
    from mlc_bench import table

    found = read_record(path)
    width = shutil.get_terminal_size((120, 24)).columns
    print(found.model_dump_json(indent=1) if as_json else table.text(found, width, details))
