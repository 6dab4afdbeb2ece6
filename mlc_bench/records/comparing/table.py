"""A comparison as the terminal and a notebook show it: a table a task, and what it means."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlc_bench.core import html_table

if TYPE_CHECKING:
    from rich.table import Table

    from mlc_bench.records.comparing.compare import Comparison, TaskChange
    from mlc_bench.records.comparing.selective import SelectivityChange

LEGEND = (
    "Differences are second minus first, rates in %, with 95 % intervals (paired bootstrap over prompts). "
    "p: McNemar's exact test, after Holm over all languages shown; of an average, bootstrap, after Holm over all "
    "averages. Detectable: the true difference that such a test finds in four of five such samples. "
    "Selectivity: refusal of harmful less refusal of harmless requests, in points. Its mean is over the languages in "
    "which both runs answer; the others are marked !."
)


def text(one: "Comparison", width: int) -> str:
    """The tables as plain text, `width` columns wide."""
    from rich.console import Console

    parts = _heading(one)
    for drawn, reading in _tables(one):
        console = Console(width=width, force_terminal=False, no_color=True, highlight=False)
        with console.capture() as capture:
            console.print(drawn)
        parts += ["", "\n".join(line.rstrip() for line in capture.get().splitlines()), reading]
    return "\n".join([*parts, *(f"\n{line}" for line in one.judge_notes)])


def html(one: "Comparison") -> str:
    """The tables as HTML, for notebooks."""
    parts = [html_table.table(drawn) + html_table.paragraphs([reading]) for drawn, reading in _tables(one)]
    return html_table.paragraphs(_heading(one)) + "".join(parts) + html_table.paragraphs([*one.judge_notes, LEGEND])


def _tables(one: "Comparison") -> "list[tuple[Table, str]]":
    """Each with its reading: selectivity first, as it is what counts."""
    return [(_selectivity(change, one.marks), change.reading) for change in one.selectivity] + [
        (_drawn(change, {} if change.measures == "utility" else one.marks), change.reading) for change in one.tasks
    ]


def _heading(one: "Comparison") -> list[str]:
    parts = [f"{one.second} against {one.first}" + (f"; judge {one.judge}" if one.judge else "")]
    if one.left_out:
        parts.append(f"Only in one of them, left out: {'; '.join(one.left_out)}.")
    return parts


def _empty(title: str, *headings: str) -> "Table":
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", title_style="")
    drawn.add_column("", no_wrap=True)
    for heading in headings:
        drawn.add_column(heading, justify="right")
    return drawn


def _selectivity(change: "SelectivityChange", marks: Mapping[str, str]) -> "Table":
    title = f"{change.harmful_task} against {change.harmless_task}, selectivity points"
    drawn = _empty(title, "first", "second", "difference", "p")
    for code, one in change.languages.items():
        mark = marks.get(code, "") + ("" if code in change.mean_of else " !")
        shown = difference(one.difference, one.low, one.high)
        drawn.add_row(code + mark, _number(one.first), _number(one.second), shown, "")
    if (mean := change.mean) is not None:
        drawn.add_section()
        shown = difference(mean.difference, mean.low, mean.high)
        drawn.add_row(f"mean, n {change.n}", _number(mean.first), _number(mean.second), shown, _p(change.p_holm))
    return drawn


def _drawn(change: "TaskChange", marks: Mapping[str, str]) -> "Table":
    whole = 100 if change.is_fraction else 1
    unit = " %" if change.is_fraction else ""
    headings = ("n", "first", "second", "difference", "only first", "only second", "p", "detectable")
    drawn = _empty(f"{change.task}, {change.name}{unit}", *headings)
    for code, language in change.languages.items():
        drawn.add_row(
            code + marks.get(code, ""),
            str(language.n),
            _number(language.first, whole),
            _number(language.second, whole),
            difference(language.difference, language.low, language.high, whole),
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
            difference(found.difference, found.low, found.high, scale, digits),
            "",
            "",
            _p(change.p_holm) if name == "average" else "",
            _number(change.detectable, whole) if name == "average" else "",
        )
    return drawn


def _number(value: float | None, scale: float = 100, digits: int = 1) -> str:
    return "–" if value is None else f"{scale * value:.{digits}f}"


def difference(value: float | None, low: float | None, high: float | None, scale: float = 100, digits: int = 1) -> str:
    if value is None:
        return "–"
    interval = "" if low is None or high is None else f" [{scale * low:+.{digits}f}, {scale * high:+.{digits}f}]"
    return f"{scale * value:+.{digits}f}{interval}"


def _p(p: float | None) -> str:
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
