"""The texts of a training file, in whatever shape its rows are, with the language that the row says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlc_bench.catalog import reading
from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import UsageError

UNKNOWN = ""  # the language of texts whose language is not known
_NOT_TEXT = {"id", "from", "role", "language", "lang"}
_ROLES = ("role", "from")
_ANSWERS = {"assistant", "gpt", "model", "bot", "chatbot", "chatgpt", "bard"}
# How a chat is written into one text: a role before what it says.
_TURN = re.compile(
    r"(?im)^[ \t]*(?:#{2,3}[ \t]*)?"
    r"(?:human|user|assistant|system|instruction|input|response|question|answer|prompt)[ \t]*:"
    r"|<\|[^|<>\n]{1,40}\|>|<(?:start_of_turn|end_of_turn)>(?:user|model)?|\[/?INST\]|<</?SYS>>|</?s>"
)


def read(path: Path) -> dict[str, list[str]]:
    """Training texts by language code (`UNKNOWN`: not said), from a file of any format that `catalog.reading` knows.

    All texts of a row are read, at any depth: columns, chat turns of whoever asks, mappings from languages. A language
    is said by a mapping's keys, by a column's name (`sw`, `prompt_sw`), or by the row's `language`. Raises UsageError
    for a file without rows or of another kind.
    """
    texts: dict[str, list[str]] = {}
    for _, row in reading.read(path).rows:
        said = row.get("language", row.get("lang"))
        code = (isinstance(said, str) and world.code_of(said)) or UNKNOWN
        for language, text in _walk(row, code):
            for piece in _pieces(text):
                texts.setdefault(language, []).append(piece)
    if not texts:
        raise UsageError(f"{path} has no text in any of its rows")
    return {code: list(dict.fromkeys(own)) for code, own in texts.items()}


def _walk(value: Any, code: str) -> Iterator[tuple[str, str]]:
    """(language, text) of all texts in a value; a loop, as values nest as deeply as their writers like."""
    stack = [(value, code)]
    while stack:
        one, code = stack.pop()
        if isinstance(one, str):
            inner = reading.inside(one)
            if isinstance(inner, str):
                yield code, inner
            else:
                stack.append((inner, code))
        elif isinstance(one, (list, tuple)):
            stack += [(turn, code) for turn in reversed(one) if not _answers(turn)]
        elif isinstance(one, dict):
            stack += reversed(list(_fields(one, code)))


def _fields(values: dict[Any, Any], code: str) -> Iterator[tuple[Any, str]]:
    """The values of an object that may hold text, each with its language."""
    named = {str(name): value for name, value in values.items()}
    codes = {name: _language(name) for name in named}
    is_by_language = len(named) > 1 and all(world.column_code(name) or name == "id" for name in named)
    is_translated = any(codes[name] for name in named if name not in _NOT_TEXT)
    for name, value in named.items():
        if name in _NOT_TEXT and not (name == "id" and is_by_language):  # "id" is Indonesian, too
            continue
        # In the files of MLC and MPO, what is beside translations is the English that they are of.
        is_original = name == "source_conversations" or (is_translated and name in ("prompt", "instruction"))
        yield value, codes[name] or ("en" if is_original else code)


def _language(name: str) -> str | None:
    """The language that a column's name says: all of it, or what is after its first or before its last `_`."""
    parts = (name, name.partition("_")[2], name.rpartition("_")[0])
    return next((found for part in parts if part and (found := world.column_code(part))), None)


def _answers(turn: Any) -> bool:
    """Whether a value is a turn of a chat in which the model speaks."""
    if not isinstance(turn, dict):
        return False
    return any(str(turn.get(role)).casefold() in _ANSWERS for role in _ROLES)


def _pieces(text: str) -> Iterator[str]:
    """A text, and what each role says in it where it is a whole chat."""
    if not text.strip():
        return
    yield text.strip()
    parts = [part.strip() for part in _TURN.split(text)]
    if len(parts) > 1:
        yield from filter(None, parts)
