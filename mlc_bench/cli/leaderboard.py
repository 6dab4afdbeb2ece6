"""`mlc-bench leaderboard build|check|add`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.console import Json, to_folder

app = typer.Typer(no_args_is_help=True, help="Tables from run records; submit a run.")

# No defaults: there is no telling the project's own folders from those of a user, and none lies in the package.
Results = Annotated[list[Path], typer.Argument(help="Folders of records.", show_default=False)]


@app.command()
def build(
    results: Results,
    out: Annotated[Path, typer.Option(help="Folder of the tables.", show_default=False, callback=to_folder)],
    plots: Annotated[bool, typer.Option(help="Draw the plots too.")] = True,
    page: Annotated[bool, typer.Option(help="Make the page (index.html) too.")] = True,
    as_json: Json = False,
) -> None:
    """Make all tables from records; what cannot be used is listed with its reason."""
    from mlc_bench.core.progress import say
    from mlc_bench.leaderboard import build as building

    _say_if_empty(results)
    board = building.leaderboard(results)
    for one in board.left_out:
        say(f"left out: {one.source}: {one.reason}")
    written = building.write(board, out, plots, page)
    if as_json:
        left_out = [{"source": one.source, "reason": one.reason} for one in board.left_out]
        print(json.dumps({"written": [str(path) for path in written], "left_out": left_out}, indent=1))
    else:
        print(f"{len(board.tasks)} task tables, {len(written)} files in {out}")


def _say_if_empty(results: list[Path]) -> None:
    """Tables without a record have the published numbers alone: a folder may have been mistaken."""
    from mlc_bench.core.progress import say
    from mlc_bench.records import found

    if next(found.files(results), None) is None:
        say(f"no records (run*.json) were found in {', '.join(map(str, results))}; name a folder of finished runs")


@app.command()
def check(
    results: Results,
    tables: Annotated[Path, typer.Option(help="Folder of the tables.", show_default=False)],
) -> None:
    """Fail with exit code 4 if tables are not what the records give."""
    from mlc_bench.leaderboard import build as building

    _say_if_empty(results)
    count = building.check(results, tables)
    print(f"{count} files are what the records give")


@app.command()
def add(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or their run.json.")],
    results: Annotated[
        Path, typer.Option(help="Folder of the submitted records.", show_default=False, callback=to_folder)
    ],
) -> None:
    """Check a run, take out what must not be public, and put it among the submitted ones."""
    from mlc_bench.leaderboard.add import add as put

    for run in runs:
        for path in put(run, results):
            print(path)


@app.command()
def curves(
    results: Results,
    out: Annotated[
        Path, typer.Option(help="Folder of the figures and of curves.csv.", show_default=False, callback=to_folder)
    ],
    as_json: Json = False,
) -> None:
    """Scores by training step, from records of one or several runs' checkpoints; step 0 is the base model's record."""
    from mlc_bench.core.progress import say
    from mlc_bench.leaderboard import curves as lines
    from mlc_bench.leaderboard.render import to_curves

    found, left_out = lines.of_paths(results)
    for one in left_out:
        say(f"left out: {one.source}: {one.reason}")
    written = to_curves.write(found, out)
    if as_json:
        reasons = [{"source": one.source, "reason": one.reason} for one in left_out]
        print(json.dumps({"written": [str(path) for path in written], "left_out": reasons}, indent=1))
        return
    for run in found:
        print(f"run {run.run} ({run.method}), judge {run.judge}: steps {', '.join(map(str, run.steps))}")
    print(f"{len(written)} files in {out}")
