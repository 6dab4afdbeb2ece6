"""YAML of others: no tag builds an object, no nesting exhausts the stack, and no alias grows to gigabytes."""

from collections.abc import Callable
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
    """Raises yaml.YAMLError for a text that is malformed, nested too deeply, or too large with its aliases."""
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


def _problem(event: yaml.Event, what: str) -> yaml.MarkedYAMLError:
    mark: Any = event.start_mark
    return yaml.MarkedYAMLError(problem=what, problem_mark=mark)


def malformed(path: Path, error: Exception) -> UsageError:
    """An error of YAML or of its encoding for people: the file, the line where that is known, and the reason."""
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    reason = " ".join(str(getattr(error, "problem", None) or error).split())
    return UsageError(f"{path}{line}: malformed YAML ({reason})")
