"""A model's chat template: where its text is, whether it can be used, and the date that it prints.

A template may print today's date (`strftime_now`). Then every run would ask something else, so it gets one date.
"""

import json
import re
from collections.abc import Callable
from datetime import date as Date
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from mlc_bench.core.errors import PrerequisiteError, UsageError

DATE = "2024-07-26"
"""What a template prints unless --template-date names another date: the one that Llama 3's templates fall back to."""
SERVERS = "the server's own"

_DATE_NAMES = re.compile(r"(?:^|_)(?:date|today|datetime|now|day)(?:_|$)")
_FORMAT = "%d %b %Y"  # of a variable that holds a date: 26 Jul 2024, as Llama's `date_string`
_USER = {"role": "user", "content": "Hello."}


class _Generation(Extension):
    """`{% generation %}` marks what is trained; only its content is rendered."""

    tags = {"generation"}  # noqa: RUF012 (as jinja declares it)

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


@cache
def _parsed(text: str) -> nodes.Template:
    return jinja2.Environment(extensions=[_Generation, loopcontrols]).parse(text)


def variables(text: str) -> set[str]:
    """The names that a template takes from outside: `messages`, `enable_thinking`, `date_string` and so on."""
    return meta.find_undeclared_variables(_parsed(text))


def check(text: str, where: str) -> None:
    """Raises PrerequisiteError for a template that cannot be read; `where` begins the line."""
    try:
        _parsed(text)
    except jinja2.TemplateSyntaxError as error:
        raise PrerequisiteError(
            f"{where}: the chat template cannot be read (line {error.lineno}: {error.message}); take the model's own"
        ) from None


def check_turn(text: str, where: str) -> None:
    """Raises PrerequisiteError for a template that refuses one turn of a user, which is what a task asks with."""
    try:
        _rendered(text, [_USER], True)
    except Exception as error:
        if type(error) is jinja2.TemplateError:  # `raise_exception`; the rest may be what only the tokenizer knows
            raise PrerequisiteError(
                f"{where}: the chat template takes no prompt that is one turn of a user ({error}); take the model's "
                "own template, or a chat model"
            ) from None


def in_folder(folder: Path, settings: dict[str, Any]) -> str | None:
    """The chat template as the files of a folder hold it, or None; `settings` is its tokenizer_config.json.

    Raises PrerequisiteError where there are several by name and none is the default.
    """
    if (path := folder / "chat_template.jinja").is_file():
        return path.read_text(encoding="utf-8")
    named = _named(settings.get("chat_template"))
    if named is None and (path := folder / "chat_template.json").is_file():  # of a model that also reads images
        try:
            named = _named(json.loads(path.read_text(encoding="utf-8")).get("chat_template"))
        except (ValueError, AttributeError):
            raise PrerequisiteError(f"{path} is not readable as JSON with a 'chat_template'") from None
    return default(named, folder)


def _named(declared: Any) -> Any:
    """A list of named templates as the dictionary that transformers makes of it; anything else as it is."""
    if not isinstance(declared, list):
        return declared
    return {str(entry.get("name")): entry.get("template") for entry in declared if isinstance(entry, dict)}


def default(declared: Any, folder: Path) -> str | None:
    """The one of several named templates that is used: `default`, or the only one.

    Raises PrerequisiteError where there are several and none is the default.
    """
    if isinstance(declared, dict):
        if "default" not in declared and len(declared) > 1:
            raise PrerequisiteError(
                f"{folder} has the chat templates {', '.join(sorted(declared))} and none named 'default'; put the one "
                "to use into chat_template.jinja"
            )
        declared = declared.get("default") or next(iter(declared.values()), None)
    return declared if isinstance(declared, str) and declared.strip() else None


def parse_date(text: str) -> Date:
    """A date as --template-date takes it. Raises UsageError for anything but YYYY-MM-DD."""
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return Date.fromisoformat(text)
    except ValueError:
        pass
    raise UsageError(f"--template-date '{text}': a date is expected, written as {DATE}")


def _clock(day: Date) -> Callable[[str], str]:
    return lambda layout: day.strftime(layout)


def dated(text: str | None, date: str | None) -> dict[str, Any]:
    """Arguments of a template that make it print one date; the user's also fills variables like `date_string`."""
    day = parse_date(date or DATE)
    given = sorted(name for name in variables(text) if _DATE_NAMES.search(name)) if text and date else []
    clock = _clock(day)
    return {"strftime_now": clock} | {name: clock(_FORMAT) for name in given if name != "strftime_now"}


def render(text: str, messages: list[dict[str, Any]], prompt: bool = True, **arguments: Any) -> str | None:
    """What a template makes of messages; None where it takes none like these. `prompt`: up to where the answer begins.

    The names of special tokens stand for them: this is to look at a template, not to ask a model.
    """
    try:
        return _rendered(text, messages, prompt, **arguments)
    except Exception:  # a template may do anything with what it is given
        return None


def _rendered(text: str, messages: list[dict[str, Any]], prompt: bool, **arguments: Any) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    tokens = {name: f"<{name}>" for name in ("bos_token", "eos_token", "pad_token", "unk_token")}
    rendered, _ = render_jinja_template(
        conversations=[messages], chat_template=text, add_generation_prompt=prompt, **tokens | arguments
    )
    return str(rendered[0])


def date(text: str, wanted: str | None, system_prompt: str | None, where: str) -> str | None:
    """The date (YYYY-MM-DD) that a template prints in a run; None for one that prints none.

    Raises UsageError for `wanted`, the user's date, where the template prints no date.
    """
    if wanted is not None:
        parse_date(wanted)
    if not any(_DATE_NAMES.search(name) for name in variables(text)):
        found = False
    else:
        turns = [{"role": "system", "content": system_prompt}] * (system_prompt is not None) + [_USER]
        found = _differ(text, turns, fills=wanted is not None)
    if wanted is not None and not found:
        raise UsageError(f"{where}: the chat template prints no date; leave --template-date out")
    return (wanted or DATE) if found else None


def _differ(text: str, turns: list[dict[str, Any]], fills: bool) -> bool:
    """Whether a template prints two days (of other years, months and week days) differently.

    `fills`: where variables for a date are given it, too.
    """
    first, second = (render(text, turns, **dated(text if fills else None, day)) for day in ("1998-12-31", "2001-02-05"))
    return "strftime_now" in text if first is None or second is None else first != second
