"""Tables that a terminal shows, as HTML for notebooks. Every text is escaped; there is no style and no script."""

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def table(drawn: "Table") -> str:
    """A table of `rich` as an HTML table: its title as the caption, its sections as bodies.

    Cells must be texts; what rich would take for markup in them is shown as it is.
    """
    headings = "".join(f"<th>{text(column.header)}</th>" for column in drawn.columns)
    rows = zip(*(column.cells for column in drawn.columns), strict=True)
    made = "<tbody>"
    for row, cells in zip(drawn.rows, rows, strict=True):
        made += "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in cells) + "</tr>"
        made += "</tbody><tbody>" if row.end_section else ""
    made = f"{made}</tbody>".removesuffix("<tbody></tbody>")
    caption = f"<caption>{text(drawn.title)}</caption>" if drawn.title else ""
    return f"<table>{caption}<thead><tr>{headings}</tr></thead>{made}</table>"


def paragraphs(lines: Iterable[str]) -> str:
    """Each line as a paragraph."""
    return "".join(f"<p>{text(line)}</p>" for line in lines)


def text(value: object) -> str:
    """A text that HTML shows as it is, with its line ends."""
    return html.escape(str(value)).replace("\n", "<br>")
