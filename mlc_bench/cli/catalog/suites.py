"""`mlc-bench suites list|show`."""

import dataclasses
import json
from typing import Annotated, Any

import typer

from mlc_bench.console import Json

app = typer.Typer(no_args_is_help=True, help="List the suites of tasks, or show one.")


@app.command("list")
def suites_list(as_json: Json = False) -> None:
    """List every suite with its tasks and settings."""
    from mlc_bench.catalog import suites

    found = [suites.get(name) for name in suites.known()]
    if as_json:
        print(json.dumps([dataclasses.asdict(suite) for suite in found], indent=1))
        return
    for suite in found:
        print(f"{suite.name:13}{suite.summary}\n{'':13}{' '.join(suite.tasks)}")


@app.command("show")
def suites_show(name: Annotated[str, typer.Argument()], as_json: Json = False) -> None:
    """Show a suite: tasks, languages of each, settings, and which languages count as seen in training."""
    from mlc_bench.catalog import listing, suites

    suite = suites.get(name)
    covered = {entry.name: listing.languages(entry) for entry in listing.select(suite.tasks)}
    content: dict[str, Any] = dataclasses.asdict(suite) | {"languages": covered}
    if suite.seen:
        seen = listing.languages(listing.tasks()[suite.seen]) or []
        unseen = {task: [code for code in codes or [] if code not in seen] for task, codes in covered.items()}
        content |= {"seen": seen, "unseen": {task: codes for task, codes in unseen.items() if codes}}
    if as_json:
        print(json.dumps(content, indent=1))
        return
    print(f"{suite.name}: {suite.summary}")
    for task, codes in covered.items():
        print(f"  {task:24}{'languages: the data say' if codes is None else ' '.join(codes)}")
    if suite.seen:
        print(f"  seen in training: {' '.join(content['seen'])}")
        for task, codes in content["unseen"].items():
            print(f"  unseen, {task}: {' '.join(codes)}")
    print(f"  settings: {', '.join(f'{key} {value}' for key, value in suite.settings.items()) or 'those of each task'}")
    if suite.notes:
        print("\n" + suite.notes)
