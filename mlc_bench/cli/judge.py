"""`mlc-bench judge`, and the options about the judge that it shares with `mlc-bench run`."""

import json
import shutil
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from mlc_bench.cli.common import Json, interrupt, split

JudgeName = Annotated[
    str, typer.Option("--judge", help="Who judges: NAME, NAME@MODEL or a judge's YAML; several with commas.")
]
Combine = Annotated[
    str | None, typer.Option(help="Of several judges: majority (the default) or strictest.", show_default=False)
]
JudgeArgs = Annotated[
    list[str] | None,
    typer.Option(
        help="key=value for the judge: engine, base_url, concurrency, price.input, ... or an argument of its engine."
    ),
]
AllowSelfJudge = Annotated[bool, typer.Option(help="Let a model judge its own answers.")]


def judge(
    path: Annotated[
        Path, typer.Argument(help="A run's folder, or JSON lines with id, language, prompt, response.", metavar="PATH")
    ],
    judge: JudgeName = "rules",
    combine: Combine = None,
    judge_args: JudgeArgs = None,
    allow_self_judge: AllowSelfJudge = False,
    as_json: Json = False,
) -> int:
    """Judge the saved answers of a run, or label answers made elsewhere.

    A run gets the verdicts and one more record, run.<judge>.json; its samples and its own record stay. Rows of a file
    come out with verdict, refused, response_language, reason.
    """
    from mlc_bench import judging

    name, settings = judge_settings(judge, combine, judge_args)
    judging.check(name, settings)
    signal.signal(signal.SIGTERM, interrupt)  # closes the judge's engine, as Ctrl-C does
    if path.is_dir() or path.name.startswith("run."):
        return _judge_run(path, name, settings, allow_self_judge, as_json)
    rows = judging.read_answers(path)
    for row, found in zip(rows, judging.verdicts(name, rows, settings=settings), strict=True):
        labels = {key: found[key] for key in ("verdict", "refused", "response_language", "reason")}
        print(json.dumps(row | labels, ensure_ascii=False))
    return 0


def judge_settings(names: str, combine: str | None, pairs: list[str] | None) -> tuple[str, dict[str, Any]]:
    """One name for the judge or judges, and the settings of --judge-args."""
    from mlc_bench.errors import UsageError
    from mlc_bench.judges.spec import canonical
    from mlc_bench.spec import parse_pairs

    if not (parts := [names] if "(" in names else split([names])):
        raise UsageError("--judge names no judge")
    return canonical(parts, combine), parse_pairs(pairs or [], "--judge-args")


def print_agreement(found: Any) -> None:
    """Below a table: how far the judges of an ensemble agree."""
    from mlc_bench.judges import ensemble

    for line in ensemble.report(found.judge):
        print(line)


def _judge_run(path: Path, name: str, settings: dict[str, Any], allow_self_judge: bool, as_json: bool) -> int:
    from mlc_bench import judging, table

    found, target = judging.rejudge(path, name, settings, allow_self_judge)
    if as_json:
        print(found.model_dump_json(indent=1))
    else:
        print(table.text(found, shutil.get_terminal_size((120, 24)).columns))
        print_agreement(found)
        print(f"record: {target}")
    return 0 if found.status == "complete" else 1
