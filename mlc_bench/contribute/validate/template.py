"""A task's templates: they can be read, and every row in every language gives a prompt that holds its text."""

from pathlib import Path
from typing import Any

from mlc_bench.catalog import data
from mlc_bench.contribute.validate.source import Faults, Yaml, one_line, quote
from mlc_bench.core.errors import UserError

KEYS = ("doc_to_text", "doc_to_target", "doc_to_choice")
Documents = dict[str, list[dict[str, Any]]]


def check_syntax(config: Yaml, faults: Faults) -> None:
    """Whatever the rows are, the templates can be read."""
    from jinja2 import TemplateSyntaxError
    from jinja2.exceptions import SecurityError

    from mlc_bench.catalog import templates

    for key in KEYS:
        template = config.value.get(key)
        line = config.line(key)
        if not isinstance(template, str):
            if key == "doc_to_text" and key in config.value:
                faults.add(config.path, line, "'doc_to_text' is not text", 'write a template such as "{{prompt}}"')
            continue
        try:
            templates.environment().from_string(template)
        except SecurityError as error:
            faults.add(config.path, line, f"'{key}' has {one_line(error.message or '')}", "write a plain template")
        except TemplateSyntaxError as error:
            what = f"'{key}' is no template ({one_line(error.message or '')})"
            faults.add(config.path, line, what, "fix its {{ }} and {% %}")
        except (RecursionError, MemoryError, SyntaxError):  # the code that jinja makes of it nests too deeply
            faults.add(config.path, line, f"'{key}' is no template (nested too deeply)", "write a plain one")


def check_rendering(config: Yaml, pack: Path, faults: Faults) -> Documents | None:
    """All fields exist in every row, and the row's own text is in its prompt. Rows elsewhere are checked where here.

    Returns the rows by language, none where they are not here, or None where they cannot be read.
    """
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
        return None
    for key in KEYS:
        template = config.value.get(key)
        if isinstance(template, str) and template and (problem := _render_all(template, documents, key)):
            faults.add(config.path, config.line(key), f"'{key}' {problem[0]}", problem[1])
    return documents


def _render_all(text: str, documents: Documents, key: str) -> tuple[str, str] | None:
    """What is wrong with the first row that does not render, and how to fix it."""
    from jinja2 import TemplateError

    from mlc_bench.catalog import templates

    made = templates.environment()
    try:
        template = made.from_string(text)
    except (TemplateError, RecursionError, MemoryError, SyntaxError):
        return None  # said before
    for code, docs in documents.items():
        for doc in docs:
            where = f"row {quote(doc['id'])} of '{code}'"
            try:
                rendered = made.rendered(template, doc)
            except (*templates.RAISED, TemplateError) as error:
                fix = f"use these fields: {', '.join(sorted(doc))}"
                return f"does not render for {where} ({one_line(str(error))})", fix
            if key == "doc_to_text" and doc["prompt"].strip() not in rendered:
                return f"leaves out the prompt of {where}", "use {{prompt}} in it"
    return None
