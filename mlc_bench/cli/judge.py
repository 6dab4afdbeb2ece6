"""`mlc-bench judge`, and the options about the judge that it shares with `mlc-bench run`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.console import Json, split

if TYPE_CHECKING:
    from mlc_bench.api import Result

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
    from mlc_bench import api
    from mlc_bench.core.spec import parse_pairs
    from mlc_bench.judges import judging

    names, settings = judge_names(judge), parse_pairs(judge_args or [], "--judge-args")
    if judging.is_of_a_run(path):
        found = api.judge(path, names, combine=combine, judge_args=settings, allow_self_judge=allow_self_judge)
        if as_json:
            print(found.record.model_dump_json(indent=1))
        else:
            print_result(found)
        return 0 if found.record.status == "complete" else 1
    for row in api.judge(judging.read_answers(path), names, combine=combine, judge_args=settings):
        print(json.dumps(row, ensure_ascii=False))
    return 0


def judge_names(text: str) -> list[str]:
    """The judges that --judge names; one name already where it combines several."""
    return [text] if "(" in text else split([text])


def print_result(found: "Result") -> None:
    """A result's table, how far the judges of an ensemble agree, and where its record is."""
    from mlc_bench.judges import ensemble

    print(found.table())
    for line in ensemble.report(found.record.judge):
        print(line)
    print(f"record: {found.path}")
