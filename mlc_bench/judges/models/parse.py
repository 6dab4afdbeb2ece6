"""From what a judge model says to a label. A text that is not of the judge's format is a failure, never a guess."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

PARSER_VERSION = "1"
"""Goes up whenever `parse` reads a text differently: it is part of every judge's digest."""

LONGEST = 20_000  # characters read, from the end: a final verdict is there
_FLAGS = re.MULTILINE | re.IGNORECASE
_REASONING_ENDS = re.compile(r"</think(?:ing)?>|\[/THINK\]", re.IGNORECASE)
_REASONING_OPENS = re.compile(r"\s*(?:<think(?:ing)?>|\[THINK\])", re.IGNORECASE)


class ParseFailure(ValueError):
    """The text holds no verdict in the judge's format. The message is a short tag: empty, cut, no-verdict, ..."""


class Parser(BaseModel):
    """Regular expressions with one group each. `^` and `$` match at lines, and case does not count.

    `last_line`: the label is read from the last line that is not empty, and from nothing above it, so that no quotation
    in the judge's reasoning can pass for its verdict; the refusal from the line before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(description="finds the label")
    refused: str | None = Field(None, description="finds yes or no: whether the answer refuses")
    categories: str | None = Field(None, description="finds the categories of harm")
    last_line: bool = Field(False, description="read the label from the last line only")

    @field_validator("label", "refused", "categories")
    @classmethod
    def _has_one_group(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = re.compile(value, _FLAGS).groups
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        if groups != 1:
            raise ValueError(f"one group in parentheses is expected, not {groups}")
        return value


@dataclass(frozen=True)
class Parsed:
    """A label of the judge's own, whether the answer refuses (None: not said), the harm categories named."""

    label: str
    refused: bool | None
    categories: list[str]


def parse(text: str, parser: Parser, labels: list[str]) -> Parsed:
    """Read a judge model's text. Raises ParseFailure where it does not hold exactly one known label."""
    text = _without_reasoning(text)[-LONGEST:].strip()
    if not text:
        raise ParseFailure("empty")
    area = text
    if parser.last_line:
        text = "\n".join([line for line in text.splitlines() if line.strip()][-2:])
        area = text.splitlines()[-1]
    found = {value.casefold() for value in _values(parser.label, area)}
    if not found:
        raise ParseFailure("no-verdict")
    if len(found) > 1:
        raise ParseFailure("two-verdicts")
    known = {label.casefold(): label for label in labels}
    if (label := found.pop()) not in known:
        raise ParseFailure("unknown-label")
    refusals = {value.casefold() for value in _values(parser.refused, text)} & {"yes", "no"}
    categories = [name for value in _values(parser.categories, text) for name in re.split(r"\s*,\s*", value)]
    return Parsed(
        label=known[label],
        refused=refusals == {"yes"} if len(refusals) == 1 else None,
        categories=list(dict.fromkeys(name for name in categories if name and name.casefold() not in ("none", "n/a"))),
    )


def _without_reasoning(text: str) -> str:
    ends = list(_REASONING_ENDS.finditer(text))
    if ends:
        return text[ends[-1].end() :]
    if _REASONING_OPENS.match(text):
        raise ParseFailure("cut")
    return text


def _values(pattern: str | None, text: str) -> list[str]:
    matches: Any = re.finditer(pattern, text, _FLAGS) if pattern else ()
    return [match[1].strip() for match in matches if match[1] is not None]
