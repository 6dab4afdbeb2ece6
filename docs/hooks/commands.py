"""Every command with its arguments and options, from the command lines themselves."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from tables import code, prose, table

from mlc_bench import console
from mlc_bench.baselines import cli as training
from mlc_bench.cli import main

VALUES = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}
PROGRAMS = {"mlc-bench": main.app, "train-baseline": training.app}


def documents() -> str:
    """One section a command."""
    return "\n".join(_document(name, command) for name, command in every())


def exit_codes() -> str:
    """What the exit codes mean, from the function that ends every command."""
    found = re.findall(r"(\d+) ([^,.]+)", (console.main.__doc__ or "").split("\n\n")[1])
    return table(["code", "meaning"], [[code(number), " ".join(meaning.split())] for number, meaning in found])


def every() -> Iterator[tuple[str, Any]]:
    """Each command that does something, with its full name: 'mlc-bench tasks list'."""
    for name, app in PROGRAMS.items():
        yield from _below(name, typer.main.get_command(app))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for word, inner in command.commands.items():
        yield from _below(f"{name} {word}", inner)


def _document(name: str, command: Any) -> str:
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option" and one.name != "help"]
    usage = " ".join([name, *(_usage(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    parts = [f"## {name}\n", _paragraphs(command.help or ""), f"```text\n{usage}\n```\n"]
    if arguments:
        parts.append(table(["argument", "meaning"], [[code(_usage(one)), prose(one.help or "")] for one in arguments]))
    if options:
        kinds = typing.get_type_hints(command.callback)
        rows = [[_names(one, kinds), _default(one), prose(one.help or "")] for one in options]
        parts.append(table(["option", "default", "meaning"], rows))
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(prose(part) for part in text.split("\n\n")) + "\n"


def _usage(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    name += "..." if argument.nargs == -1 or argument.multiple else ""
    return name if argument.required else f"[{name}]"


def _names(option: Any, kinds: dict[str, Any]) -> str:
    """Its spellings, with a word for its value where it takes one."""
    names = " / ".join(code(name) for name in [*option.opts, *option.secondary_opts])
    if option.is_flag:
        return names
    return f"{names} {code(next(filter(None, map(_value, _inside(kinds[option.name])))))}"


def _value(annotation: Any) -> str | None:
    """What stands for a value of this type: a word for it, or those that it may be; None for a type around others."""
    if typing.get_origin(annotation) is typing.Literal:
        return "|".join(typing.get_args(annotation))
    return VALUES.get(annotation) if isinstance(annotation, type) else None


def _inside(annotation: Any) -> Iterator[Any]:
    """An annotation and all that it is made of: `list[str] | None`, `list[str]`, `str`, ..."""
    yield annotation
    for one in typing.get_args(annotation):
        yield from _inside(one)


def _default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag:
        return "on" if option.default and option.secondary_opts else ""
    return code("" if option.default is None else option.default)
