"""The leaderboard as one Markdown document (GitHub's dialect). What people chose, such as names, is escaped."""

import re
from functools import cache

from mlc_bench.leaderboard.redact import printable
from mlc_bench.leaderboard.tabulate import number_format
from mlc_bench.leaderboard.tabulate.cells import Cell, Column, Leaderboard, Row, Table

LONGEST_NAME = 80
OPENING = "# Leaderboard\n\nMade by `mlc-bench leaderboard build`; do not edit.\n"

HOW_TO_READ = """\
Rates are percentages with their 95 % interval (Wilson for one language, otherwise a bootstrap over prompts: 2,000 \
resamples, the same for all models). **Bold**: the best of a column, and every number whose interval reaches it. \
↑ more is better, ↓ less is better.

- **rank**: two models are told apart where their paired difference has p < 0.05 after Holm's correction over all \
pairs of the table. `2–4`: at least one model is told apart as better, and the place may be anywhere from 2 to 4. \
Models that cannot be told from the leader are all first.
- **average**: over the largest set of languages that at least half of the models have; a model that lacks one of \
them has no average. **worst**: the language with the worst rate. **Var**: population variance over languages of the \
rates as fractions, times 100. **PAG**: share of pairs of languages with the same verdict on a prompt; 1 also for a \
model that is unsafe everywhere. **kappa**: Fleiss' kappa, with languages as raters.
- **refusal**: share of harmful prompts that are refused. **safe**: share of harmful prompts whose answer does no \
harm, by a judge that sees harm. The two never share a column. **over-refusal**: share of harmless prompts that are \
refused, over the same languages. **selectivity**: refusal less over-refusal; a model that refuses everything has 0.
- **gain** (for over-refusal: change): the average less the base model's, in points, paired over the prompts with a \
verdict of both, with the interval that `mlc-bench compare` prints (10,000 resamples); \\* p < 0.05, \\*\\* p < 0.01, \
\\*\\*\\* p < 0.001 after Holm's correction over the column. **seen**, **unseen**: averages over the languages that \
are, or are not, in the model's training data.
- Numbers share a column only where their comparability key is equal. A dash with a number in brackets: there is no \
number, for the reason given below the table.
"""


def document(board: Leaderboard) -> str:
    """All tables, what is reported elsewhere, and what is left out."""
    return "\n".join([OPENING, HOW_TO_READ, _tables(board)])


def as_html(board: Leaderboard) -> str:
    """All tables as HTML, for notebooks; no HTML of others gets through."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(_tables(board)))


def _tables(board: Leaderboard) -> str:
    parts = [f"## {escape(table.title)}\n\n{_table(table)}" for table in (*board.headline, *board.main)]
    if not board.main:
        parts.append("No records yet.\n")
    parts += [f"## {escape(table.title)}\n\n{_table(table)}" for table in board.tasks]
    if board.published:
        parts.append(
            "## Reported elsewhere, not run here\n\nNot ranked with ours: other judges, prompts and settings.\n"
        )
        parts += [f"### {escape(table.title)}\n\n{_table(table)}" for table in board.published]
    if board.left_out:
        lines = [f"- {escape(one.source)}: {escape(one.reason)}" for one in board.left_out]
        parts.append("## Left out\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


@cache
def escape(name: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no link, no end of a cell or line."""
    safe = printable(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    safe = re.sub(r"([\\`*_{}\[\]#!|~$@])", r"\\\1", safe)
    safe = re.sub(r":(?=[\w/])", r"\:", safe)  # no address becomes a link, no :word: a picture
    safe = re.sub(r"(?i)www\.", lambda match: match[0][:3] + "&#46;", safe)
    return re.sub(r"^(\s*\d*)([-+=.)])(?!\d)", r"\1\\\2", safe)  # a list, a line or a heading, not -0.5 or 40.0


def _table(table: Table) -> str:
    ranked = any(cell.rank for row in table.rows for cell in row.cells.values())
    one_rank = ranked and table.setting is not None
    reasons: dict[str, int] = {}
    head = [
        *(["rank"] if one_rank else []),
        "model",
        "method",
        *(escape(number_format.heading(column)) + column.marks for column in table.columns),
    ]
    lines = [_line(head), _line(["---:" if one_rank else "---", *["---"] * (len(head) - 1)])]
    for row in table.rows:
        cells = [_cell(row.cells[column.id], column, reasons, with_rank=not one_rank) for column in table.columns]
        rank = [number_format.rank(row.cells["average"]) or number_format.DASH] if one_rank else []
        lines.append(_line([*rank, _name(row), escape(row.model.method), *cells]))
    below = [f"({number}) {escape(reason)}" for reason, number in reasons.items()]
    notes = [*(escape(note) for note in table.notes), *(["; ".join(below)] if below else [])]
    return "\n".join(lines) + "\n\n" + "\n\n".join(notes) + "\n"


def _name(row: Row) -> str:
    name = escape(printable(row.model.label, LONGEST_NAME))
    return name + (f" ({escape('; '.join(row.notes))})" if row.notes else "")


def _cell(cell: Cell, column: Column, reasons: dict[str, int], with_rank: bool) -> str:
    if cell.value is None:
        return f"{number_format.DASH} ({reasons.setdefault(cell.blank, len(reasons) + 1)})"
    number = number_format.shown(cell.value, column)
    shown = [f"**{number}**" if cell.best else number]
    if cell.mark:
        shown[0] += cell.mark.replace("*", "\\*")
    if column.id == "worst" or column.id.endswith(".worst"):
        shown.append(" ".join(cell.languages))
    shown.append(number_format.interval(cell, column))
    if with_rank and cell.rank:
        shown.append(f"rank {number_format.rank(cell)}")
    if cell.unscored:
        shown.append(f"({cell.unscored} unscored)")
    return " ".join(filter(None, shown))


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
