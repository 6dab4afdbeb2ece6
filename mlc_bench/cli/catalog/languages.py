"""`mlc-bench languages list|show`."""

import dataclasses
import json
from typing import Annotated, Any

import typer

from mlc_bench.console import Json

app = typer.Typer(no_args_is_help=True, help="List the languages, or show one.")


@app.command("list")
def languages_list(as_json: Json = False) -> None:
    """List every language with its script and the tasks that have it."""
    from mlc_bench.catalog import languages

    covered = _tasks_by_language()
    rows: list[dict[str, Any]] = [
        {
            "code": code,
            "name": language.name,
            "native_name": language.native_name,
            "script": language.script,
            "direction": language.direction,
            "native_speaker_checks": len(language.native_speaker_checks),
            "tasks": covered[code],
        }
        for code, language in ((code, languages.get(code)) for code in languages.known())
    ]
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['code']:4}{row['script']}  {row['name']:22}{row['native_name']}\n{'':10}{' '.join(row['tasks'])}")


@app.command("show")
def languages_show(
    code: Annotated[str, typer.Argument(help="Its code, such as sw.")],
    as_json: Json = False,
) -> None:
    """Show a language: its file's content, and the tasks that have it."""
    from mlc_bench.catalog import languages

    language = languages.get(code)
    content = dataclasses.asdict(language) | {"tasks": _tasks_by_language()[code]}
    if as_json:
        print(json.dumps(content, indent=1, ensure_ascii=False))
        return
    print(languages.FOLDER / f"{code}.yaml")
    for key, value in content.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name}: {item}" for name, item in value.items())
        if isinstance(value, list):
            value = "\n  ".join(["", *map(str, value)]) if value else "none"
        print(f"{key}: {value}")


def _tasks_by_language() -> dict[str, list[str]]:
    from mlc_bench.catalog import languages, listing

    covered: dict[str, list[str]] = {code: [] for code in languages.known()}
    for entry in listing.tasks().values():
        for code in listing.languages(entry) or []:
            covered[code].append(entry.name)
    return covered
