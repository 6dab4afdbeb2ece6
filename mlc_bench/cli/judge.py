"""`mlc-bench judge`, and the options about the judge that it shares with `mlc-bench run`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.console import Json, split

if TYPE_CHECKING:
    from mlc_bench.api import Result

JudgeName = Annotated[
    str,
    typer.Option("--judge", help="Who judges: NAME, NAME@MODEL or a judge's YAML; several with commas, a record each."),
]
Combine = Annotated[
    str | None, typer.Option(help="One verdict of several judges: majority or strictest.", show_default=False)
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
        Path,
        typer.Argument(
            help="A run's folder; JSON lines with id, language, prompt, response; a log of Inspect (.eval); or "
            "lm-eval's samples_*.jsonl.",
            metavar="PATH",
        ),
    ],
    judge: JudgeName = "refusal",
    combine: Combine = None,
    judge_args: JudgeArgs = None,
    allow_self_judge: AllowSelfJudge = False,
    language: Annotated[
        str | None, typer.Option(help="Code of the language of answers in a file that does not say it.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Judge the saved answers of a run, or label answers made elsewhere.

    A run gets the verdicts and one more record, run.<judge>.json; its samples and its own record stay. Rows of a file
    come out with verdict, refused, response_language, reason.
    """
    from mlc_bench import api
    from mlc_bench.core.errors import UsageError
    from mlc_bench.core.spec import parse_pairs
    from mlc_bench.judges import judging
    from mlc_bench.judges.spec import canonical

    names, settings = judge_names(judge), parse_pairs(judge_args or [], "--judge-args")
    if judging.is_of_a_run(path):
        if language is not None:
            raise UsageError("--language goes with a file of answers; the rows of a run say theirs")
        results = [
            api.judge(path, name, judge_args=settings, allow_self_judge=allow_self_judge)
            for name in canonical(names, combine, settings)
        ]
        if as_json:
            made = [found.record.model_dump(mode="json") for found in results]
            print(json.dumps(made[0] if len(made) == 1 else made, indent=1, ensure_ascii=False))
        else:
            print_results(results)
        return 0 if all(found.record.status == "complete" for found in results) else 1
    for row in api.judge(judging.read_answers(path, language), names, combine=combine, judge_args=settings):
        print(json.dumps(row, ensure_ascii=False))
    return 0


def judge_names(text: str) -> list[str]:
    """The judges that --judge names; one name already where it combines several."""
    return [text] if "(" in text else split([text], "--judge")


def print_results(results: "list[Result]") -> None:
    """Each result's table, how far the judges of an ensemble agree, and where its record is.

    Below those of one run: what one of its judges says against what another says.
    """
    from mlc_bench.judges import cross, ensemble

    for folder in dict.fromkeys(found.folder for found in results):
        own = [found for found in results if found.folder == folder]
        for found in own:
            print(found.table())
            for line in ensemble.report(found.record.judge):
                print(line)
            print(f"record: {found.path}")
        if len(own) > 1:
            print(cross.text(folder, [found.record for found in own]))
