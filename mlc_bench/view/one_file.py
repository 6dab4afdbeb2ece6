"""A selection as one HTML file that needs no server: to be read elsewhere, kept or sent."""

import base64
from collections.abc import Iterator
from hashlib import sha256

from mlc_bench.view import pages
from mlc_bench.view.queries import Queries
from mlc_bench.view.selection import Selection


def document(queries: Queries, chosen: Selection, with_answers: bool = False) -> Iterator[str]:
    """The file, in parts: all prompts of the selection, with the answers' verdicts.

    Answers to harmful prompts are left out unless `with_answers`: such a file is easily passed on.
    """
    style, code = pages.asset("page.css"), pages.asset("page.js")
    own = f"style-src {_hashed(style)}; script-src {_hashed(code)}"
    policy = f"default-src 'none'; {own}; base-uri 'none'; form-action 'none'"
    whole, single = queries.counts(chosen)
    return pages.template("one_file.html").generate(
        **pages.shared(queries, chosen),
        whole=whole,
        single=single,
        lines=queries.all_lines(chosen),
        is_answered=with_answers or not chosen.task.is_harmful,
        style=style,
        code=code,
        policy=policy,
    )


def _hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"
