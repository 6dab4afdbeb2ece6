"""Markdown that all generated pages share."""

import re
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; cells may hold Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def code(text: object) -> str:
    """A text in backquotes; nothing for an empty one."""
    return f"`{text}`" if str(text) else ""


def prose(text: str) -> str:
    """A docstring or a help text in one paragraph, with what is no code kept from being read as Markdown or HTML."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return re.sub(r"([<>*_\[\]])", lambda found: {"<": "&lt;", ">": "&gt;"}.get(found[0], f"\\{found[0]}"), text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
