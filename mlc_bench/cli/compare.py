"""`mlc-bench compare`."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.console import Json, split

if TYPE_CHECKING:
    from mlc_bench.records.compare import Comparison, TaskChange


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or their run.json; the first is the baseline.")],
    tasks: Annotated[list[str] | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="End with exit code 5 where the whole interval of a change is beyond a bound in percentage points: "
            "'over_refusal > 2', or in one language 'refusal_rate[sw] < -5'; repeatable."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Is the difference between runs more than noise? Paired on their prompts, per language and over all."""
    from dataclasses import asdict

    from mlc_bench import api
    from mlc_bench.records import gate

    conditions = [gate.parse(text) for text in fail_if or ()]
    found = api.compare_all(runs, tasks=split(tasks))
    holds = gate.apply(conditions, found)
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
    else:
        _show(found)
    if holds:
        raise typer.Exit(gate.EXIT_CODE)


def _show(found: list["Comparison"]) -> None:
    width = shutil.get_terminal_size((120, 24)).columns
    print("\n\n".join(_text(one, width) for one in found))
    print(
        "\nDifferences are second minus first, rates in %, with 95 % intervals (paired bootstrap over prompts). "
        "p: McNemar's exact test, after Holm over all languages shown; of an average, bootstrap, after Holm over all "
        "averages. Detectable: the true difference that such a test finds in four of five such samples."
    )
    for one in found:
        for check in one.conditions:
            where = f"{check.task} {check.language or 'average'}"
            change = _difference(check.difference, check.low, check.high, scale=1)
            said = "holds" if check.holds else "does not hold" if check.low is not None else "is not defined"
            print(f"--fail-if '{check.condition}' {said}: {where} of {one.second} {change}")


def _text(one: "Comparison", width: int) -> str:
    parts = [f"{one.second} against {one.first}"]
    if one.left_out:
        parts.append(f"Only in one of them, left out: {'; '.join(one.left_out)}.")
    for change in one.tasks:
        parts += ["", _table(change, width), change.reading]
    return "\n".join(parts)


def _table(change: "TaskChange", width: int) -> str:
    from rich.console import Console
    from rich.table import Table

    whole = 100 if change.is_fraction else 1
    unit = " %" if change.is_fraction else ""
    drawn = Table(title=f"{change.task}, {change.name}{unit}", title_justify="left", title_style="")
    drawn.add_column("", no_wrap=True)
    for heading in ("n", "first", "second", "difference", "only first", "only second", "p", "detectable"):
        drawn.add_column(heading, justify="right")
    for code, language in change.languages.items():
        drawn.add_row(
            code,
            str(language.n),
            _number(language.first, whole),
            _number(language.second, whole),
            _difference(language.difference, language.low, language.high, whole),
            str(language.only_first),
            str(language.only_second),
            _p(language.p_holm),
            _number(language.detectable, whole),
        )
    drawn.add_section()
    names = {"average": "average", "worst": "worst", "var": "Var", "pag": "PAG", "kappa": "kappa", "all_safe": "all"}
    if change.measures != "utility":
        names["invalid"] = "invalid"
    if "blocked" in change.statistics:
        names["blocked"] = "blocked"
    others = [name for name in change.statistics if name.startswith("average_")]
    names |= {name: name.removeprefix("average_").replace("_", " ") for name in others}
    for name, heading in names.items():
        found = change.statistics[name]
        scale, digits = (1, 3) if name in ("pag", "kappa") else (1, 2) if name == "var" else (whole, 1)
        drawn.add_row(
            heading,
            str(change.n),
            _number(found.first, scale, digits),
            _number(found.second, scale, digits),
            _difference(found.difference, found.low, found.high, scale, digits),
            "",
            "",
            _p(change.p_holm) if name == "average" else "",
            _number(change.detectable, whole) if name == "average" else "",
        )
    console = Console(width=width, force_terminal=False, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(drawn)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _number(value: float | None, scale: float = 100, digits: int = 1) -> str:
    return "–" if value is None else f"{scale * value:.{digits}f}"


def _difference(value: float | None, low: float | None, high: float | None, scale: float = 100, digits: int = 1) -> str:
    if value is None:
        return "–"
    interval = "" if low is None or high is None else f" [{scale * low:+.{digits}f}, {scale * high:+.{digits}f}]"
    return f"{scale * value:+.{digits}f}{interval}"


def _p(p: float | None) -> str:
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
