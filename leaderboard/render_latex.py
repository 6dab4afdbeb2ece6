"""Tables as LaTeX for papers: `\\input` them; the preamble needs booktabs, graphicx and `\\usepackage[T1]{fontenc}`."""

from functools import cache

from . import text
from .public import printable
from .table import Cell, Column, Table

LONGEST_NAME = 60
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": r"\textquotesingle{}", "`": r"\textasciigrave{}", "-": "-{}",
    "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "…": r"\ldots{}", "[": "{[}", "]": "{]}",
}  # fmt: skip


def table(one: Table) -> str:
    """One tabular, as wide as the text. Numbers that are best in their column are bold; a dash has no number."""
    ranked = one.setting is not None and any(row.cells["average"].rank for row in one.rows)
    head = [*(["rank"] if ranked else []), "model", "method", *(text.heading(column) for column in one.columns)]
    lines = [
        f"% {escape(one.title)}",
        *(f"% {escape(note)}" for note in one.notes),
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{'l' * (len(head) - len(one.columns))}{'r' * len(one.columns)}}}",
        r"\toprule",
        " & ".join(escape(name) for name in head) + r" \\",
        r"\midrule",
    ]
    for row in one.rows:
        cells = [escape(text.rank(row.cells["average"])) or "--"] if ranked else []
        cells += [escape(printable(name, LONGEST_NAME)) for name in (row.model.label, row.model.method)]
        cells += [_cell(row.cells[column.id], column) for column in one.columns]
        lines.append(" & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}%", "}"]) + "\n"


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
    number = text.shown(cell.value, column).replace("-", r"$-$")
    shown = rf"\textbf{{{number}}}" if cell.best else number
    if cell.mark:
        shown += f"$^{{{cell.mark}}}$"
    if column.id == "worst" or column.id.endswith(".worst"):
        shown += f" {escape(' '.join(cell.languages))}"
    bounds = text.interval(cell, column) if not column.language else ""
    return shown + (rf" {{\scriptsize {escape(bounds)}}}" if bounds else "")
