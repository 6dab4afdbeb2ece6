"""`mlc-bench export`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mlc_bench.console import Json, to_folder


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, or the file of one of its records.", metavar="RUN")],
    to: Annotated[str, typer.Option(help="Format: inspect, every-eval-ever or hub.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the files.", show_default="export/FORMAT in the run's folder", callback=to_folder
        ),
    ] = None,
    organization: Annotated[str | None, typer.Option(help="every-eval-ever: who ran it.")] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(help="hub: the data set (OWNER/NAME) that lists results on prompts that come with mlc-bench."),
    ] = None,
    push: Annotated[
        bool,
        typer.Option(
            "--push", help="hub: open a pull request with your token. Shows what would be sent, and asks first."
        ),
    ] = False,
    repo: Annotated[
        str | None, typer.Option(help="--push: the model's repository (OWNER/NAME); else the model's own.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Write a finished run in the format of another tool.

    inspect: a log (.eval) a task, for Inspect's viewer. It holds the prompts and the answers, also to harmful requests:
    keep it where the run is. every-eval-ever and hub hold numbers alone, as `leaderboard add` would publish them.
    """
    from mlc_bench import api
    from mlc_bench.core.errors import UsageError
    from mlc_bench.core.progress import say
    from mlc_bench.export import formats
    from mlc_bench.export import push as pushing

    if push and to != "hub":
        raise UsageError("--push goes with --to hub")
    if repo is not None and not push:
        raise UsageError("--repo goes with --push")
    found = api.show(run)
    if push:
        formats.check_publishable(found.record)
        repo = pushing.repository(found.record, repo)
    content = formats.files(to, found.folder, found.record, organization, benchmark)
    out = out or found.folder / "export" / to
    written = formats.write(content, out)
    if to == "inspect":
        say(f"these logs hold answers, also to harmful requests; look at them: inspect view --log-dir {out}")
    if to == "hub" and benchmark is None and (left_out := formats.without_dataset(found.record)):
        say(f"in the model card alone, as their data are no data set of the hub: {', '.join(left_out)} (--benchmark)")
    if as_json:
        print(json.dumps({"written": [str(path) for path in written]}, indent=1))
    else:
        for path in written:
            print(path)
    if push:
        pushing.check_token()
        for name, text in content.items():
            print(f"\n--- {name}\n{text.decode()}", file=sys.stderr)
        print(f"Send these {len(content)} files to {repo} as a pull request? [y/N]", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
            say("nothing was sent")
            return 0
        say(f"sent: {pushing.send(content, repo or '')}")
    return 0
