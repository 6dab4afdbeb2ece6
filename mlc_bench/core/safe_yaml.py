"""YAML of others: no tag builds an object, no nesting exhausts the stack, and no alias grows to gigabytes."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from mlc_bench.core.errors import UsageError

DEEPEST = 60  # lists and mappings in each other
_LARGEST = 1 << 22  # characters and values, with each alias written out

SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where PyYAML was built with it


def load(text: str, kind: Any = SafeLoader) -> Any:
    """The value of a text of one document, by a kind of safe loader.

    Raises yaml.YAMLError, with a mark where there is one, for whatever it cannot be.
    """
    check(text)
    return built(lambda: yaml.load(text, Loader=kind))


def built(make: Callable[[], Any]) -> Any:
    """What a loader makes of a checked text. Raises yaml.YAMLError also for a value that does not fit its tag."""
    try:
        return make()
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise yaml.YAMLError(f"a value cannot be read: {str(error)[:80]}") from None  # `!!int x`, a 31 February


def check(text: str) -> None:
    """Raises yaml.YAMLError for a text that is malformed, nested too deeply, or too large with its aliases, and for
    one that gives a key twice, of which a loader would take the last."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []  # anchor and size so far of what is not closed yet
    total = 0
    for event in yaml.parse(text, Loader=SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise _problem(event, f"the alias '*{event.anchor}' is inside of what it stands for")
            size = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size = 1 + len(event.value)
            if event.anchor:
                sizes[event.anchor] = size
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            if len(open_) >= DEEPEST:
                raise _problem(event, "nested too deeply")
            if event.anchor:
                sizes.pop(event.anchor, None)
            open_.append((event.anchor, total))
            size = 1
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = total - before
            continue
        else:
            continue
        total += size
        if total > _LARGEST:
            raise _problem(event, "its aliases make it too large")
    _refuse_twice(yaml.compose(text, Loader=SafeLoader))


def _refuse_twice(root: yaml.Node | None) -> None:
    """Raises yaml.YAMLError for a key that its mapping has already."""
    left, seen = [root], set()
    while left:
        node = left.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                left += (key, value)
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    continue
                if key.value in lines:
                    first = lines[key.value]
                    raise _problem(key, f"the key '{key.value[:60]}' is there twice, first in line {first}; keep one")
                lines[key.value] = key.start_mark.line + 1


def _problem(place: yaml.Event | yaml.Node, what: str) -> yaml.MarkedYAMLError:
    mark: Any = place.start_mark
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)


@contextlib.contextmanager
def naming_lines(path: Path, text: str) -> Iterator[None]:
    """An error in this block that begins with the file and names a key of it names the key's line, too.

    A key of several mappings gets none: better no line than a wrong one.
    """
    try:
        yield
    except UsageError as error:
        said = str(error).removeprefix(f"{path}: ")
        key = re.search(r"'(\w+)'", said)
        places = list(re.finditer(rf"""(?m)(?:^|[{{,]) *['"]?{key[1]}['"]? *:""", text)) if key else []
        if said == str(error) or len(places) != 1:
            raise
        raise type(error)(f"{path}, line {text.count(chr(10), 0, places[0].end()) + 1}: {said}") from None


def malformed(path: Path, error: Exception) -> UsageError:
    """An error of YAML or of its encoding for people: the file, the line where that is known, and the reason."""
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    reason = " ".join(str(getattr(error, "problem", None) or error).split())
    return UsageError(f"{path}{line}: malformed YAML ({reason})")
