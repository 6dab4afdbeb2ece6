"""`mlc-bench compare`."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.console import Json, split

if TYPE_CHECKING:
    from mlc_bench.records.comparing.compare import Comparison


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or their run.json; the first is the baseline.")],
    tasks: Annotated[list[str] | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="End with exit code 5 where the whole interval of a change is beyond a bound in percentage points: "
            "'selectivity < -5', 'over_refusal > 2', or in one language 'refusal_rate[sw] < -5'; repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Is the difference between runs more than noise? Paired on their prompts, per language and over all."""
    from dataclasses import asdict

    from mlc_bench import api
    from mlc_bench.records.comparing import gate

    conditions = [gate.parse(text) for text in fail_if or ()]
    found = api.compare_all(runs, tasks=split(tasks, "--tasks"))
    holds = gate.apply(conditions, found)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
    else:
        _show(found)
    if holds:
        raise typer.Exit(gate.EXIT_CODE)


def _show(found: list["Comparison"]) -> None:
    from mlc_bench.records.comparing import table

    width = shutil.get_terminal_size((120, 24)).columns
    print("\n\n".join(table.text(one, width) for one in found))
    print(f"\n{table.LEGEND}")
    for one in found:
        for check in one.conditions:
            where = f"{check.task} {check.language or 'average'}"
            change = table.difference(check.difference, check.low, check.high, scale=1)
            said = "holds" if check.holds else "does not hold" if check.low is not None else "is not defined"
            print(f"--fail-if '{check.condition}' {said}: {where} of {one.second} {change}")
