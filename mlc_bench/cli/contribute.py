"""What contributors need: `mlc-bench tasks new|validate|translate|overlap` and `mlc-bench languages new`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.cli.common import Json, use_data


def register(tasks: typer.Typer) -> None:
    """Put the commands into the group of `mlc-bench tasks`."""
    tasks.command("validate")(validate)
    tasks.command("overlap")(overlap)


def validate(
    path: Annotated[
        str | None, typer.Argument(help="A task folder, a language or a suite, by path or name. Default: everything.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Check files of tasks, languages and suites wholly; print every fault as file:line: what; how to mend it."""
    import dataclasses

    from mlc_bench import validate as validation

    faults = validation.check(path)
    if as_json:
        print(json.dumps([dataclasses.asdict(fault) for fault in faults], indent=1))
    else:
        for fault in faults:
            print(fault)
    print(f"{len(faults)} to mend" if faults else "no faults", file=sys.stderr)
    return 2 if faults else 0


def overlap(
    train: Annotated[Path, typer.Argument(help="Training data: JSON lines, or one JSON list.")],
    data_dir: Annotated[Path | None, typer.Option(help="Folder with downloaded task data (or MLC_BENCH_DATA).")] = None,
    as_json: Json = False,
) -> None:
    """Show which test prompts also stand in training data: exact, but for spelling, or nearly so."""
    from mlc_bench import overlap as overlaps

    if data_dir is not None:
        use_data(data_dir)
    texts = overlaps.read(train)
    found = overlaps.report(texts)
    if as_json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        _print_overlap(found)
    counts = ", ".join(f"{code or 'language not said'} {len(one)}" for code, one in sorted(texts.items()))
    print(f"training texts: {counts}", file=sys.stderr)
    if missing := overlaps.unchecked():
        print(f"not compared, since their data are not here: {', '.join(missing)}", file=sys.stderr)


def _print_overlap(found: dict[str, dict[str, dict[str, Any]]]) -> None:
    rows = [(task, code, counts) for task, by_code in found.items() for code, counts in by_code.items()]
    rows = [row for row in rows if row[2]["overlapping"]]
    if not rows:
        print("no test prompt overlaps")
        return
    width = max(len(task) for task, _, _ in rows)
    print(f"{'task':{width}}  language  prompts  exact  normalised  near")
    for task, code, counts in rows:
        print(
            f"{task:{width}}  {code:8}  {counts['prompts']:7}  {counts['exact']:5}  "
            f"{counts['normalised']:10}  {counts['near']:4}"
        )
