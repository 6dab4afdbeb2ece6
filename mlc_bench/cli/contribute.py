"""What contributors need: `mlc-bench tasks new|validate|translate|overlap` and `mlc-bench languages new`."""

import json
from typing import Annotated

import typer

from mlc_bench.cli.common import Json


def register(tasks: typer.Typer) -> None:
    """Put the commands into the group of `mlc-bench tasks`."""
    tasks.command("validate")(validate)


def validate(
    path: Annotated[
        str | None, typer.Argument(help="A task folder, a language or a suite, by path or name. Default: everything.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check files of tasks, languages and suites wholly; print every fault as file:line: what; how to mend it."""
    import dataclasses
    import sys

    from mlc_bench import validate as validation

    faults = validation.check(path)
    if as_json:
        print(json.dumps([dataclasses.asdict(fault) for fault in faults], indent=1))
    else:
        for fault in faults:
            print(fault)
    print(f"{len(faults)} to mend" if faults else "no faults", file=sys.stderr)
    return 2 if faults else 0
