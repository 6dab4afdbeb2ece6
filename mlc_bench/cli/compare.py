"""`mlc-bench compare`."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc_bench.cli.common import Json, read_record, split

if TYPE_CHECKING:
    from mlc_bench.compare import Comparison, TaskChange


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or their run.json; the first is the baseline.")],
    tasks: Annotated[list[str] | None, typer.Option(help="Only these tasks, separated by commas.")] = None,
    as_json: Json = False,
) -> None:
    """Is the difference between runs more than noise? Paired on their prompts, per language and over all."""
    from dataclasses import asdict

    from mlc_bench import compare as comparing

    found = comparing.compare([read_record(path) for path in runs], split(tasks))
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1, ensure_ascii=False))
        return
    width = shutil.get_terminal_size((120, 24)).columns
    print("\n\n".join(_text(one, width) for one in found))
    print(
        "\nDifferences are second minus first, rates in per cent, with 95 % intervals (paired bootstrap over prompts). "
        "p: McNemar's exact test, after Holm over all languages shown; of an average, bootstrap, after Holm over all "
        "averages. Detectable: the true difference that such a test finds in four of five such samples."
    )


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

    from mlc_bench.compare import NAMES

    drawn = Table(title=f"{change.task}, {NAMES[change.measures]} %", title_justify="left", title_style="")
    drawn.add_column("", no_wrap=True)
    for heading in ("n", "first", "second", "difference", "only first", "only second", "p", "detectable"):
        drawn.add_column(heading, justify="right")
    for code, language in change.languages.items():
        drawn.add_row(
            code,
            str(language.n),
            _number(language.first),
            _number(language.second),
            _difference(language.difference, language.low, language.high),
            str(language.only_first),
            str(language.only_second),
            _p(language.p_holm),
            _number(language.detectable),
        )
    drawn.add_section()
    names = {"average": "average", "worst": "worst", "var": "Var", "pag": "PAG", "kappa": "kappa", "all_safe": "all"}
    if change.measures != "utility":
        names["invalid"] = "invalid"
    others = [name for name in change.statistics if name.startswith("average_")]
    names |= {name: name.removeprefix("average_").replace("_", " ") for name in others}
    for name, heading in names.items():
        found = change.statistics[name]
        scale, digits = (1, 3) if name in ("pag", "kappa") else (1, 2) if name == "var" else (100, 1)
        drawn.add_row(
            heading,
            str(change.n),
            _number(found.first, scale, digits),
            _number(found.second, scale, digits),
            _difference(found.difference, found.low, found.high, scale, digits),
            "",
            "",
            _p(change.p_holm) if name == "average" else "",
            _number(change.detectable) if name == "average" else "",
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
