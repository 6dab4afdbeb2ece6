"""`mlc-bench view`: the answers of finished runs, side by side, in a browser on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.console import Include, to_file, use_packs
from mlc_bench.core.errors import UsageError


def view(
    results: Annotated[list[Path], typer.Argument(help="Folders of results, or of finished runs.", show_default=False)],
    include: Include = None,
    select: Annotated[
        str,
        typer.Option(help="What to show first: a page's address, or its query (find=gap&lang=sw).", metavar="QUERY"),
    ] = "",
    port: Annotated[int, typer.Option(help="Of the page; 0: a free one.", min=0, max=65535)] = 0,
    static: Annotated[
        Path | None,
        typer.Option(help="Write the selection as one HTML file, and serve nothing.", metavar="FILE", callback=to_file),
    ] = None,
    with_answers: Annotated[
        bool, typer.Option("--with-answers", help="Put answers to harmful prompts into that file, too.")
    ] = False,
) -> None:
    """Read the answers of runs side by side: languages, models, judges; filters with counts; every text searched.

    Prints the address of a page that only this machine can open. Nothing is sent anywhere. Ctrl-C ends it.
    """
    from mlc_bench.view import one_file, selection, serve

    use_packs(include, False)
    if with_answers and static is None:
        raise UsageError("--with-answers goes with --static")
    found = serve.queries(results)
    if static is not None:
        parts = one_file.document(found, selection.parsed(select, found.contents), with_answers)
        one_file.write(static, parts)
        print(static)
        return
    address, run = serve.server(found, select, port)
    print(address, flush=True)
    try:
        run()
    except KeyboardInterrupt as error:
        if getattr(error, "number", 2) != 2:  # another signal than Ctrl-C, which is how it ends
            raise
