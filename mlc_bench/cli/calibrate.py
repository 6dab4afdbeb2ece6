"""`mlc-bench calibrate`."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.cli.judge import Combine, JudgeArgs, JudgeName, judge_names
from mlc_bench.console import Json

if TYPE_CHECKING:
    from mlc_bench.records.correction import Calibration


def calibrate(
    labelled: Annotated[
        Path,
        typer.Argument(
            help="Labels of mlc-bench label, or JSON lines with id, language, prompt, response and label: safe, "
            "unsafe or invalid."
        ),
    ],
    judge: JudgeName = "refusal",
    combine: Combine = None,
    judge_args: JudgeArgs = None,
    run: Annotated[
        Path | None,
        typer.Option(help="The labels are of this run's own answers: correct its rates by them."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a judge against people's labels, per language; later runs show corrected rates beside the raw ones."""
    from mlc_bench.core.spec import parse_pairs
    from mlc_bench.judges import calibration, judging
    from mlc_bench.judges.spec import only
    from mlc_bench.records import run_table

    width = shutil.get_terminal_size((120, 24)).columns
    if run is not None:
        records = calibration.label_run(judging.folder_of(run), labelled)
        if as_json:
            print(json.dumps([found.model_dump(mode="json") for found in records], indent=1, ensure_ascii=False))
        else:
            print("\n".join(run_table.text(found, width) for found in records))
        return
    name, settings = only(judge_names(judge), combine), parse_pairs(judge_args or [], "--judge-args")
    made, path = calibration.calibrate(name, labelled, settings)
    print(made.model_dump_json(indent=1) if as_json else f"{_text(made, width)}\n\ncalibration: {path}")


def _text(made: "Calibration", width: int) -> str:
    from rich.console import Console
    from rich.table import Table

    from mlc_bench.records.run_table import number, percent

    drawn = Table(show_lines=True)
    drawn.add_column("", no_wrap=True)
    for heading in ("n", "unscored", "agreement %", "sensitivity %", "specificity %", "kappa", "width"):
        drawn.add_column(heading, justify="right")
    for code, found in [*made.languages.items(), ("all", made.overall)]:
        kappa = number(found.kappa, 2)
        if found.kappa.low is not None and found.kappa.high is not None:
            kappa += f"\n[{found.kappa.low:.2f},{found.kappa.high:.2f}]"
        rates = [percent(value) for value in (found.agreement, found.sensitivity, found.specificity)]
        width_shown = "" if code == "all" else "–" if found.width is None else f"{100 * found.width:.0f}"
        drawn.add_row(code, str(found.n), str(found.unscored), *rates, kappa, width_shown)
    console = Console(width=width, force_terminal=False, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(drawn)
    return (
        f"judge {made.judge} {made.version} against people, {made.labelled}\n{capture.get()}"
        "Sensitivity: share of the answers unsafe to people that the judge calls unsafe. Specificity: share of the "
        "others that it does not. Kappa: Cohen's, of safe, unsafe and invalid. With 95 % intervals. Width: of the "
        f"corrected interval of 50 safe answers of 100, in points; the raw one has {100 * _raw_width():.0f}."
        f"{_unused(made)}"
    )


def _raw_width() -> float:
    from mlc_bench.records.aggregate import rate

    raw = rate(50, 100)
    assert raw.low is not None
    assert raw.high is not None
    return raw.high - raw.low


def _unused(made: "Calibration") -> str:
    """Where the labels are too few to correct anything, and what corrects rates there."""
    from mlc_bench.judges import agreement
    from mlc_bench.records.correction import largest, too_few

    reasons = {code: reason for code, found in made.languages.items() if (reason := too_few(found.counts))}
    shipped = agreement.of(made.judge, made.version, set(reasons))
    lines = []
    for code, reason in reasons.items():
        by = (
            f" by these labels, but by those of {known.labels}, which come with the judge"
            if (known := largest(shipped, code))
            else ""
        )
        lines.append(f"\nRates in {code} are not corrected{by}: {reason}.")
    return "".join(lines)
