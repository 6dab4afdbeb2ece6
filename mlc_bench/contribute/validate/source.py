"""Files as the validator sees them: text, JSON lines and YAML, each value with its line, and faults in place of errors.

Whatever bytes a file holds, reading it here ends in values or in faults, never in an exception.
"""

import json
import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from mlc_bench.core import bounded
from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import inside

TODO = re.compile(r"\bTODO\b")  # what `tasks new` and `languages new` leave for people to replace
DEEPEST = 10  # lists and objects in each other in a row
LONGEST_QUOTE = 60  # characters of a wrong text that a message shows


class _Loader(yaml.SafeLoader):
    """A safe loader, in Python since deep nesting then ends in an error; keeps `!function module.name` as text."""


def _function(loader: _Loader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("!function", _function)


@dataclass(frozen=True, order=True)
class Fault:
    """One thing to fix: where it is, what is wrong, and how to fix it. Lines count from 1."""

    file: str
    line: int
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}; {self.fix}"


@dataclass
class Faults:
    """Collects faults; paths are shown relative to the working folder where they are under it."""

    found: dict[Fault, None] = field(default_factory=dict)  # in order, each once: tasks over one file find the same

    def add(self, path: Path, line: int, what: str, fix: str) -> None:
        self.found[Fault(shown(path), line, quote_free(what), quote_free(fix))] = None


def shown(path: Path) -> str:
    """The path as messages show it."""
    try:
        return quote_free(str(path.resolve().relative_to(Path.cwd())))
    except (ValueError, OSError, RuntimeError):
        return quote_free(str(path))


def quote_free(text: str) -> str:
    """Text on one line that any terminal can print: what is not printable is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def quote(value: Any) -> str:
    """A wrong value as messages show it: one line, not too long, in quotes."""
    text = value if isinstance(value, str) else repr(value)
    text = quote_free(text)
    return f"'{text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1] + '…'}'"


def one_line(text: str) -> str:
    """A library's message on one line."""
    return quote_free(" ".join(text.split()))


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is text that says something, and can be in a path."""
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def read_text(path: Path, faults: Faults) -> str | None:
    """The file's text, or None with a fault. A byte order mark and foreign line ends are faults, and are removed."""
    most = bounded.LARGEST_DATA if path.suffix == ".jsonl" else bounded.LARGEST_TEXT
    try:
        content = bounded.read_bytes(path, most) if path.is_file() else None
    except UsageError as error:
        what, _, fix = str(error).removeprefix(f"{path} ").partition("; ")
        faults.add(path, 1, what, fix)
        return None
    except OSError as error:
        faults.add(path, 1, f"cannot be read ({error.strerror})", "make the file readable")
        return None
    if content is None:
        faults.add(path, 1, "is not there, or is not a file", "write it")
        return None
    if content.startswith(b"\xef\xbb\xbf"):
        faults.add(path, 1, "starts with a byte order mark", "save the file as UTF-8 without BOM")
        content = content[3:]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = f"0x{content[error.start]:02x}"
        faults.add(path, line, f"is not UTF-8 (byte {byte})", "save the file in the encoding UTF-8")
        return None
    if "\r" in text:
        line = text[: text.index("\r")].count("\n") + 1
        faults.add(path, line, "has line ends of Windows or old Macs", "save the file with Unix line ends (LF)")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    for number, line_text in enumerate(text.split("\n"), 1):
        if odd := next((c for c in line_text if c != "\t" and (ord(c) < 32 or 127 <= ord(c) < 160)), None):
            faults.add(path, number, f"holds the control character U+{ord(odd):04X}", "remove it")
            return None
        if line_text.startswith(("<<<<<<< ", ">>>>>>> ")):
            faults.add(path, number, "holds the mark of a merge conflict", "resolve the conflict")
            return None
    return text


def check_inside(folder: Path, faults: Faults) -> bool:
    """Whether nothing in a folder is a link that leads out of it; each one that does is a fault."""
    before = len(faults.found)
    for path in sorted(folder.rglob("*")):  # links to folders are not followed
        try:
            inside(folder, path.relative_to(folder).as_posix(), "the path")
        except UsageError as error:
            if path.is_symlink():
                faults.add(path, 1, "is a link that leads out of the folder", "put the file itself there")
            elif path.suffix in (".yaml", ".yml", ".jsonl", ".md"):
                faults.add(path, 1, one_line(str(error)), "give it another name")
    return len(faults.found) == before


@dataclass(frozen=True)
class Row:
    """One row of a file of JSON lines, with the number of its line."""

    line: int
    values: dict[str, Any]


def read_rows(path: Path, faults: Faults) -> list[Row] | None:
    """The objects of a file of JSON lines; lines that are not one are faults. None where the file cannot be read."""
    text = read_text(path, faults)
    if text is None:
        return None
    rows: list[Row] = []
    lines = text.split("\n")
    if lines[-1]:
        faults.add(path, len(lines), "the last line has no line end", "end the file with a line break")
    else:
        lines.pop()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            faults.add(path, number, "an empty line", "remove it")
            continue
        twice: list[str] = []
        try:
            value = json.loads(
                line,
                object_pairs_hook=partial(_object, twice),
                parse_constant=lambda name: f"<{name}>",
            )
        except RecursionError:
            faults.add(path, number, "not JSON (nested too deeply)", "write one object of plain values on the line")
            continue
        except ValueError as error:
            problem = getattr(error, "msg", "a number is too long")
            at = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            faults.add(path, number, f"not JSON ({problem}{at})", "write one JSON object on the line")
            continue
        if _is_deep(value):
            faults.add(path, number, "not JSON (nested too deeply)", "write one object of plain values on the line")
            continue
        if not isinstance(value, dict):
            faults.add(path, number, "not a JSON object", 'write {"id": ..., ...} on the line')
            continue
        for key in twice:
            faults.add(path, number, f"the field {quote(key)} appears twice", "keep one of the two")
        rows.append(Row(number, value))
    if not rows:
        faults.add(path, 1, "has no rows", "write one JSON object a line, with the ids of en.jsonl")
    return rows


def _is_deep(value: Any) -> bool:
    """Whether lists and objects are nested more than `DEEPEST` times."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for one in level
            if isinstance(one, (list, dict))
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, (list, dict)) for one in level)


def _object(twice: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice += sorted({key for key in keys if keys.count(key) > 1})
    return values


@dataclass
class Yaml:
    """A YAML file: its value, and the line on which each key or list item begins, by its path."""

    path: Path
    value: Any
    lines: dict[tuple[Hashable, ...], int]
    text: str

    def line(self, *keys: Hashable) -> int:
        """The line of a key, or of the nearest key above it that exists."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)


def read_yaml(path: Path, faults: Faults) -> Yaml | None:
    """The file's value with lines, or None with a fault. `!function module.name` reads as the text `module.name`."""
    text = read_text(path, faults)
    if text is None:
        return None
    try:
        return Yaml(path, *_construct(path, text, faults), text)
    except yaml.YAMLError as error:
        mark = _mark(error)
        problem = one_line(str(getattr(error, "problem", None) or error))
        faults.add(path, mark.line + 1 if mark else 1, f"malformed YAML ({problem})", "fix the line")
    except _Alias as alias:
        faults.add(path, alias.line, "uses an anchor or alias (& or *)", "write the value out, or put it in quotes")
    except RecursionError:
        faults.add(path, 1, "malformed YAML (nested too deeply)", "write plain keys and values")
    # PyYAML has no error of its own for a tag that does not fit its value, such as `!!int x` or a 31 February
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        reason = one_line(str(error))[:80]
        faults.add(path, 1, f"malformed YAML (a value cannot be read: {reason})", "put the value in quotes")
    return None


def _mark(error: yaml.YAMLError) -> Any:
    """Where to look: at the beginning of what is not closed, else where the parser stopped."""
    context = getattr(error, "context", None) or ""
    began = any(word in context for word in ("flow", "simple key", "quoted scalar"))
    return getattr(error, "context_mark" if began else "problem_mark", None)


def check_todo(found: Yaml, faults: Faults) -> None:
    """What is left to fill in; lines of comment alone do not count."""
    for number, line in enumerate(found.text.split("\n"), 1):
        if TODO.search(line) and not line.lstrip().startswith("#"):
            fix = "put the right thing there, and take the word TODO out"
            faults.add(found.path, number, "still holds 'TODO'", fix)


class _Alias(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


def _construct(path: Path, text: str, faults: Faults) -> tuple[Any, dict[tuple[Hashable, ...], int]]:
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):  # a few lines of them can grow to gigabytes
            raise _Alias(event.start_mark.line + 1 if event.start_mark else 1)
    lines: dict[tuple[Hashable, ...], int] = {}
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _note_lines(node, (), lines, path, faults)
        return loader.construct_document(node), lines
    finally:
        loader.dispose()


def _note_lines(
    node: yaml.Node, place: tuple[Hashable, ...], lines: dict[tuple[Hashable, ...], int], path: Path, faults: Faults
) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key.value, str) else ""
            line = key.start_mark.line + 1
            if (*place, name) in lines:
                first = lines[(*place, name)]
                faults.add(path, line, f"the key {quote(name)} appears twice (first on line {first})", "keep one")
            lines[(*place, name)] = line
            _note_lines(value, (*place, name), lines, path, faults)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*place, index)] = value.start_mark.line + 1
            _note_lines(value, (*place, index), lines, path, faults)
