"""A task's templates: they can be read, and every row in every language gives a prompt that holds its text."""

from functools import cache
from pathlib import Path
from typing import Any

from mlc_bench import data
from mlc_bench.errors import UserError
from mlc_bench.validate.source import Faults, Yaml, one_line, quote

KEYS = ("doc_to_text", "doc_to_target", "doc_to_choice")
# What a template can raise is what its expressions can: division, missing keys, calls of texts, calls without end.
_RAISED = (
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RuntimeError,
    AssertionError,
    MemoryError,
)
Documents = dict[str, list[dict[str, Any]]]


def check_syntax(config: Yaml, faults: Faults) -> None:
    """Whatever the rows are, the templates can be read."""
    from jinja2 import TemplateSyntaxError

    for key in KEYS:
        template = config.value.get(key)
        line = config.line(key)
        if not isinstance(template, str):
            if key == "doc_to_text" and key in config.value:
                faults.add(config.path, line, "'doc_to_text' is not text", 'write a template such as "{{prompt}}"')
            continue
        try:
            if _has_nested_loops(template):
                faults.add(config.path, line, f"'{key}' has a loop in a loop", "write a plain template")
            _environment().from_string(template)
        except TemplateSyntaxError as error:
            what = f"'{key}' is no template ({one_line(error.message or '')})"
            faults.add(config.path, line, what, "mend its {{ }} and {% %}")
        except (RecursionError, MemoryError, SyntaxError):  # the code that jinja makes of it nests too deeply
            faults.add(config.path, line, f"'{key}' is no template (nested too deeply)", "write a plain one")


def check_rendering(config: Yaml, pack: Path, faults: Faults) -> None:
    """All fields exist in every row, and the row's own text is in its prompt. Rows elsewhere are checked where here."""
    source = config.value["dataset_kwargs"] | {"root": str(pack.parent.resolve())}
    metadata = config.value.get("metadata")
    if isinstance(metadata, dict):
        source |= {"parallel": metadata.get("parallel", True) is not False}
    try:
        data.forget()
        documents = data.read_what_is_here(source)
    except UserError as error:
        if "folder" not in source:  # what is wrong with rows of ours has been said, row by row
            faults.add(config.path, config.line("dataset_kwargs"), one_line(str(error)), "get the right file")
        return
    for key in KEYS:
        template = config.value.get(key)
        if isinstance(template, str) and template and (problem := _render_all(template, documents, key)):
            faults.add(config.path, config.line(key), f"'{key}' {problem[0]}", problem[1])


@cache
def _environment() -> Any:
    """Jinja without a way to Python, and without what lets a few characters run for hours."""
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset(["*", "**"])  # not computed when the template is read, either

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            raise SecurityError(f"'{operator}' has no place in a prompt")

    return Sandbox(undefined=StrictUndefined)


def _has_nested_loops(template: str) -> bool:
    from jinja2.nodes import For

    loops = _environment().parse(template).find_all(For)
    return any(next(iter(loop.find_all(For)), None) is not None for loop in loops)


def _render_all(text: str, documents: Documents, key: str) -> tuple[str, str] | None:
    """What is wrong with the first row that does not render, and how to mend it."""
    from jinja2 import TemplateError

    try:
        if _has_nested_loops(text):
            return None  # said before
        template = _environment().from_string(text)
    except (TemplateError, RecursionError, MemoryError, SyntaxError):
        return None  # said before
    for code, docs in documents.items():
        for doc in docs:
            where = f"row {quote(doc['id'])} of '{code}'"
            try:
                rendered = template.render(**doc)
            except (*_RAISED, TemplateError) as error:
                mend = f"use these fields: {', '.join(sorted(doc))}"
                return f"does not render for {where} ({one_line(str(error))})", mend
            if key == "doc_to_text" and doc["prompt"].strip() not in rendered:
                return f"leaves out the prompt of {where}", "use {{prompt}} in it"
    return None
