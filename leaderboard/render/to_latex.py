"""Tables as LaTeX for papers: `\\input` them; the preamble needs booktabs, graphicx and `\\usepackage[T1]{fontenc}`."""

from functools import cache
from itertools import takewhile

from mlc_bench.leaderboard.redact import printable
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Table

LONGEST_NAME = 60
WIDEST = 6  # columns with intervals that can still be read on the width of a page
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "-": "-{}",
    "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "[": "{[}", "]": "{]}",
    "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}",
}  # fmt: skip


def table(one: Table) -> str:
    """Tabulars as wide as the text, one below the other: what comes before the languages, the languages with average
    and worst, then the other numbers.

    Numbers that are best in their column are bold; a dash has no number.
    """
    first = [
        column for column in one.columns if column.language or (column.id in ("average", "worst") and _languages(one))
    ]
    lead = list(takewhile(lambda column: not column.language, one.columns))
    rest = [column for column in one.columns if column not in first and column not in lead]
    blocks = [*_narrow(lead), first, *_narrow(rest)]
    head = [f"% {escape(line)}" for line in (one.title, *one.notes)]
    return "\n".join([*head, "\n\\medskip\n\n".join(_tabular(one, block) for block in blocks if block)]) + "\n"


def _narrow(columns: list[Column]) -> list[list[Column]]:
    return [columns[start : start + WIDEST] for start in range(0, len(columns), WIDEST)]


def _languages(one: Table) -> bool:
    return any(column.language for column in one.columns)


def _tabular(one: Table, columns: list[Column]) -> str:
    ranked = one.setting is not None and any(
        cell.rank for row in one.rows if (cell := row.cells.get("average")) is not None
    )
    names = [*(["rank"] if ranked else []), "model", "method"]
    lines = [
        r"\noindent\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * len(names)}{'r' * len(columns)}}}",
        r"\toprule",
        " & ".join(
            escape(name) for name in [*names, *(number_format.heading(column) + column.marks for column in columns)]
        )
        + r" \\",
        r"\midrule",
    ]
    for row in one.rows:
        cells = [escape(number_format.rank(row.cells["average"])) or "--"] if ranked else []
        cells += [escape(printable(name, LONGEST_NAME)) for name in (row.model.label, row.model.method)]
        cells += [_cell(row.cells[column.id], column) for column in columns]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}%", "}"])


@cache
def escape(name: str) -> str:
    """Text that LaTeX prints as it is; letters beyond Latin-1, which its fonts may lack, as their code points."""
    return "".join(_character(character) for character in printable(name))


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if " " <= character <= "~" or ("À" <= character <= "ÿ" and character not in "×÷"):
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def _cell(cell: Cell, column: Column) -> str:
    if cell.value is None:
        return "--"
    number = number_format.shown(cell.value, column).replace("-", r"$-$")
    shown = rf"\textbf{{{number}}}" if cell.best else number
    if cell.mark:
        shown += f"$^{{{cell.mark}}}$"
    if column.id == "worst" or column.id.endswith(".worst"):
        shown += f" {escape(' '.join(cell.languages))}"
    bounds = number_format.interval(cell, column) if not column.language else ""
    return shown + (rf" {{\scriptsize {escape(bounds)}}}" if bounds else "")
