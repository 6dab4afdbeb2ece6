"""Commands over finished runs: `mlc-bench show`."""

from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.console import Json


def show(
    path: Annotated[Path, typer.Argument(help="A run's folder, or its run.json.")],
    details: Annotated[
        bool, typer.Option("--details", help="All metrics: treatments of invalid answers, loopholes, kappa, ...")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the table of a finished run again."""
    from mlc_bench import api

    found = api.show(path)
    print(found.record.model_dump_json(indent=1) if as_json else found.table(details))
