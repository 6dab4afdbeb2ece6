"""The leaderboard as one HTML page that needs no network: its data, its libraries and its code are all inside.

The table is DataTables (MIT), as the package `itables` bundles it; the charts are Vega-Lite (BSD-3), as `vl-convert`
bundles it. Both come from the installed packages and are not kept here. The page's own code is in `page/`.
"""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import PrerequisiteError
from mlc_bench.leaderboard.render import to_json
from mlc_bench.leaderboard.tabulate.cells import Leaderboard

CODE = ("data.js", "dialog.js", "charts.js", "pairs.js", "training.js", "page.js")  # one module; the last one draws
INSTALL = "pip install 'mlc-bench[page]'"


def document(board: Leaderboard) -> str:
    """The whole page. Raises PrerequisiteError where the libraries that it holds are not installed.

    Everything that people chose reaches the page as JSON and is shown as text, never as markup.
    """
    import jinja2

    here = files(__package__) / "page"
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    return template.render(
        data=_json(to_json.document(board)),
        languages=_json(json.dumps(_languages(board), ensure_ascii=False, sort_keys=True)),
        style=(here / "page.css").read_text(encoding="utf-8"),
        code=_code("\n".join((here / name).read_text(encoding="utf-8") for name in CODE)),
        datatables_style=_datatables("css"),
        datatables=_code(_datatables("js")),
        vega=_code(_vega()),
    )


def _languages(board: Leaderboard) -> dict[str, dict[str, str]]:
    """Code -> name, native name, direction of every language in a table; a code that is not ours has no entry."""
    codes = {column.language for table in board.tables for column in table.columns if column.language}
    found = {code: world.describe(code) for code in sorted(codes) if world.of_tag(code) == code}
    return {
        code: {"name": one.name, "native": one.native_name, "dir": one.direction, "script": one.script}
        for code, one in found.items()
    }


def _json(text: str) -> str:
    r"""JSON for a <script> element: `<`, which could end it, as `\u003c`."""
    return text.replace("<", "\\u003c")


def _code(text: str) -> str:
    r"""JavaScript for a <script> element: what could end it is in strings only, where `\/` means `/`."""
    return re.sub("</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", r"<\!--")


@cache
def _datatables(kind: str) -> str:
    try:
        return (files("itables") / "html" / f"dt_bundle.{kind}").read_text(encoding="utf-8")
    except ModuleNotFoundError as error:
        raise PrerequisiteError(f"the page needs '{error.name}'; run: {INSTALL}, or build with --no-page") from None


@cache
def _vega() -> str:
    try:
        import vl_convert
    except ModuleNotFoundError as error:
        raise PrerequisiteError(f"the page needs '{error.name}'; run: {INSTALL}, or build with --no-page") from None
    bundle: Any = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return str(bundle)
