"""`mlc-bench leaderboard build|check|add`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.cli.common import Json

app = typer.Typer(no_args_is_help=True, help="Tables from run records; submit a run.")

Results = Annotated[list[Path] | None, typer.Argument(help="Folders of records; the submitted ones if none is named.")]


@app.command()
def build(
    results: Results = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the tables; without it the committed ones.")] = None,
    plots: Annotated[bool, typer.Option(help="Draw the plots too.")] = True,
    page: Annotated[bool, typer.Option(help="Make the page (index.html) too.")] = True,
    as_json: Json = False,
) -> None:
    """Make all tables from records; what cannot be used is listed with its reason."""
    from mlc_bench.leaderboard import build as building
    from mlc_bench.progress import say

    board = building.leaderboard(results or [building.RESULTS])
    for one in board.left_out:
        say(f"left out: {one.source}: {one.reason}")
    written = building.write(board, out or building.TABLES, plots, page)
    if as_json:
        left_out = [{"source": one.source, "reason": one.reason} for one in board.left_out]
        print(json.dumps({"written": [str(path) for path in written], "left_out": left_out}, indent=1))
    else:
        print(f"{len(board.tasks)} task tables, {len(written)} files in {out or building.TABLES}")


@app.command()
def check(
    results: Results = None,
    tables: Annotated[Path | None, typer.Option(help="Folder of the tables; without it the committed ones.")] = None,
) -> None:
    """Fail with exit code 4 if the committed tables are not what the records give."""
    from mlc_bench.leaderboard import build as building

    count = building.check(results or [building.RESULTS], tables or building.TABLES)
    print(f"{count} files are what the records give")


@app.command()
def add(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their run.json.")],
    results: Annotated[Path | None, typer.Option(help="Where to put them; without it the submitted ones.")] = None,
) -> None:
    """Check a run, take out what must not be public, and put it among the submitted ones."""
    from mlc_bench.leaderboard import build as building
    from mlc_bench.leaderboard.add import add as put

    for run in runs:
        for path in put(run, results or building.RESULTS):
            print(path)
