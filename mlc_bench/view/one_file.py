"""A selection as one HTML file that needs no server: to be read elsewhere, kept or sent."""

import base64
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from mlc_bench.core.errors import UsageError
from mlc_bench.view import pages
from mlc_bench.view.queries import Queries
from mlc_bench.view.selection import Selection


def document(queries: Queries, chosen: Selection, with_answers: bool = False) -> Iterator[str]:
    """The file, in parts: all prompts of the selection, with the answers' verdicts.

    Answers to harmful prompts are left out unless `with_answers`: such a file is easily passed on.
    """
    style, code = pages.asset("page.css"), pages.asset("page.js")
    whole, single = queries.counts(chosen)
    return pages.template("one_file.html").generate(
        **pages.shared(queries, chosen),
        whole=whole,
        single=single,
        lines=queries.all_lines(chosen),
        is_answered=with_answers or not chosen.task.is_harmful,
        style=style,
        code=code,
        policy=policy(style, code),
    )


def policy(style: str, code: str) -> str:
    """What a browser lets such a file do: its own style and code, nothing from elsewhere."""
    own = f"style-src {_hashed(style)}; script-src {_hashed(code)}"
    return f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"


def write(path: Path, parts: Iterable[str]) -> None:
    """Write a file so that nobody reads half of it. UsageError for the path of a folder."""
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(parts)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
