"""`mlc-bench calibrate`."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.cli.common import Json
from mlc_bench.cli.judge import Combine, JudgeArgs, JudgeName, judge_settings

if TYPE_CHECKING:
    from mlc_bench.correction import Calibration


def calibrate(
    labelled: Annotated[
        Path, typer.Argument(help="JSON lines with id, language, prompt, response and label: safe, unsafe or invalid.")
    ],
    judge: JudgeName = "rules",
    combine: Combine = None,
    judge_args: JudgeArgs = None,
    run: Annotated[
        Path | None,
        typer.Option(help="The labels are of this run's own answers (id, language, label): correct its rates by them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a judge against people's labels, per language; later runs show corrected rates beside the raw ones."""
    from mlc_bench import calibration, table

    width = shutil.get_terminal_size((120, 24)).columns
    if run is not None:
        records = calibration.label_run(run if run.is_dir() else run.parent, labelled)
        if as_json:
            print(json.dumps([found.model_dump(mode="json") for found in records], indent=1, ensure_ascii=False))
        else:
            print("\n".join(table.text(found, width) for found in records))
        return
    name, settings = judge_settings(judge, combine, judge_args)
    made, path = calibration.calibrate(name, labelled, settings)
    print(made.model_dump_json(indent=1) if as_json else f"{_text(made, width)}\n\ncalibration: {path}")


def _text(made: "Calibration", width: int) -> str:
    from rich.console import Console
    from rich.table import Table

    from mlc_bench.table import number, percent

    drawn = Table(show_lines=True)
    drawn.add_column("", no_wrap=True)
    for heading in ("n", "unscored", "agreement %", "sensitivity %", "specificity %", "kappa"):
        drawn.add_column(heading, justify="right")
    for code, found in [*made.languages.items(), ("all", made.overall)]:
        kappa = number(found.kappa, 2)
        if found.kappa.low is not None and found.kappa.high is not None:
            kappa += f"\n[{found.kappa.low:.2f},{found.kappa.high:.2f}]"
        rates = [percent(value) for value in (found.agreement, found.sensitivity, found.specificity)]
        drawn.add_row(code, str(found.n), str(found.unscored), *rates, kappa)
    console = Console(width=width, force_terminal=False, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(drawn)
    return (
        f"judge {made.judge} {made.version} against people, {made.labelled}\n{capture.get()}"
        "Sensitivity: share of the answers unsafe to people that the judge calls unsafe. Specificity: share of the "
        "others that it does not. Kappa: Cohen's, of safe, unsafe and invalid. With 95 % intervals."
    )
