"""`mlc-bench sweep`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlc_bench.console import Json, again

if TYPE_CHECKING:
    from mlc_bench.sweeps.jobs import Job


def sweep(
    file: Annotated[
        Path | None,
        typer.Argument(help="YAML: models, adapters, judges (or jobs), and options of run.", metavar="FILE"),
    ] = None,
    checkpoints: Annotated[
        list[Path] | None, typer.Option(help="A training run: every checkpoint and the final model; repeatable.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Folder of results. Default: the file's, or results.")] = None,
    on: Annotated[
        str, typer.Option(help="local: this machine. ray: the cluster at RAY_ADDRESS, or a local one.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Most engines at a time. Default: as many as the GPUs allow, else one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Show what is there and what is missing; load no model.")] = False,
    print_commands: Annotated[bool, typer.Option(help="Print each job as a command, one a line; run nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Score many models, adapters or checkpoints in one command; resumes where it stopped."""
    from mlc_bench.core.errors import unknown
    from mlc_bench.sweeps import progress
    from mlc_bench.sweeps import sweep as sweeps

    if on not in ("local", "ray"):
        raise unknown("--on", on, ("local", "ray"))
    jobs = sweeps.jobs_of(file, checkpoints or [], output)
    if print_commands:
        for job in jobs:
            print(job.command)
        return 0
    if dry_run:
        return _plan(jobs, workers, as_json)
    outcome = sweeps.run(jobs, "ray" if on == "ray" else "local", workers, sys.stdout if as_json else None, again())
    if not as_json:
        print(progress.summary(outcome.board, again()))
    return 0 if outcome.is_complete else 1


def _plan(jobs: "list[Job]", workers: int | None, as_json: bool) -> int:
    from mlc_bench.sweeps import plan, slots
    from mlc_bench.sweeps.jobs import shards
    from mlc_bench.sweeps.sweep import with_engines

    gpus = slots.visible()
    jobs = with_engines(jobs, bool(gpus))
    at_once = len(slots.share(jobs, workers, gpus))
    rows = plan.estimates(jobs, Path(jobs[0].request.output), at_once)
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        missing = [job for job, row in zip(jobs, rows, strict=True) if not row["error"] and not row["generated"]]
        print("\n".join(_row(row) for row in rows))
        print(_total(rows, len(shards(missing, at_once)), at_once))
    return 1 if any(row["error"] for row in rows) else 0


def _row(row: dict[str, Any]) -> str:
    if row["error"]:
        return f"{row['name']}: would fail: {row['error']}"
    if row["generated"]:
        return f"{row['name']}: all answers are there  {row['folder']}"
    missing = "prompts unknown" if row["missing"] is None else f"{row['missing']} prompts"
    about = f"about {row['tokens_in']:,} tokens in, up to {row['tokens_out']:,} out"
    return f"{row['name']}: {missing}, {row['stored_responses']} stored responses; {about}; {_hours(row['hours'])}"


def _hours(hours: float | None) -> str:
    from mlc_bench.sweeps.progress import span

    return "time unknown" if hours is None else span(3600 * hours)


def _total(rows: list[dict[str, Any]], starts: int, at_once: int) -> str:
    """The last line: sums over the jobs that would run; a time only where every one of them was measured."""
    from mlc_bench.sweeps.progress import counted

    todo = [row for row in rows if not row["error"] and not row["generated"]]
    hours = [row["hours"] for row in todo]
    time = None if None in hours else sum(hours) / at_once
    tokens = [sum(row[way] for row in todo) for way in ("tokens_in", "tokens_out")]
    return (
        f"{counted(len(rows), 'job')}, {len(todo)} to answer, {counted(starts, 'engine start')}, {at_once} at a time; "
        f"about {tokens[0]:,} tokens in, up to {tokens[1]:,} out; {_hours(time)}"
    )
