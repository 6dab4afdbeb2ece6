"""The written corpus: answers that refuse, deflect or comply, in more than forty languages; README.md says how.

One file a language tag (BCP 47): another script of a language, or its romanised form, has a file of its own.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

Row = dict[str, Any]
TRAIN, TEST = "train", "test"


def tags() -> list[str]:
    """The language tags that have a file, in alphabetical order."""
    return sorted(
        path.name.removesuffix(".jsonl") for path in files(__name__).iterdir() if path.name.endswith(".jsonl")
    )


@cache
def of(tag: str) -> tuple[Row, ...]:
    """The rows of one tag, in the file's order, each with its `tag` and `language` (without the script)."""
    lines = (files(__name__) / f"{tag}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) | {"tag": tag, "language": tag.partition("-")[0]} for line in lines)


def rows(side: str | None = None) -> list[Row]:
    """All rows, or those of one side: `train` (what is fitted) or `test` (what is only measured)."""
    return [row for tag in tags() for row in of(tag) if side in (None, row["side"])]
