"""Which languages a source has, by what its columns and files are called."""

import re
from collections.abc import Iterable
from fnmatch import fnmatch, translate
from pathlib import Path
from typing import Any

from mlc_bench.catalog import languages as known_languages
from mlc_bench.catalog import sources
from mlc_bench.catalog.languages import world
from mlc_bench.catalog.reading import Table
from mlc_bench.catalog.sources import Source
from mlc_bench.core.errors import UsageError

OTHERS = "*"
"""In place of a language: all for which nothing else is said. In place of a name: whatever the data call it."""


def of_files(paths: Iterable[Path]) -> dict[str, Path]:
    """Language code -> file of a folder with one `<code>.jsonl` for each, sorted by code.

    UsageError for two files of one language.
    """
    found: dict[str, Path] = {}
    for path in paths:
        code = world.code_of(path.stem) or path.stem
        if code in found:
            raise UsageError(f"{found[code]} and {path.name} are both '{code}'; keep one")
        found[code] = path
    return dict(sorted(found.items()))


def of_columns(source: Source, table: Table) -> dict[str, str]:
    """Language code -> column of a table, in the order of the columns.

    In the source's `columns`, a key and its pattern are a code and a column, or hold "*" for every language that the
    table has. UsageError for two columns that are one language.
    """
    patterns: dict[str, str] = source["columns"]
    named = {
        world.code_of(key) or key: pattern.replace(OTHERS, key) for key, pattern in patterns.items() if key != OTHERS
    }
    found = {code: column for code, column in named.items() if column in table.columns}
    # "id" is the code of Indonesian, too; a column of that name holds the rows' ids.
    taken = {"id", source.get("category_column"), *source.get("where", {}), *found.values()}
    for column in table.columns if OTHERS in patterns else ():
        called = _filled(patterns[OTHERS], column)
        code = called and column not in taken and _code(source, called)
        if not code or code in named or not _holds_text(code, table, column):
            continue
        if code in found:
            raise UsageError(
                f"{source['file']}: the columns '{found[code]}' and '{column}' are both '{code}'; name the one that is "
                f"meant in the task file, as in columns: {{{code}: {column}}}"
            )
        found[code] = column
    return dict(sorted(found.items(), key=lambda item: table.columns.index(item[1])))


def _filled(pattern: str, column: str) -> str | None:
    """What stands in a column's name where its pattern has "*"."""
    before, star, after = pattern.partition(OTHERS)
    if not star or not column.startswith(before) or not column.endswith(after):
        return None
    return column[len(before) : len(column) - len(after)] or None


def _code(source: Source, called: str) -> str | None:
    """The language that a data set calls so: first what language files say of this data set, then BCP 47."""
    dataset = source.get("dataset")
    for code in known_languages.known():
        if dataset and known_languages.get(code).codes.get(dataset) == called:
            return code
    return world.column_code(called)


def _holds_text(code: str, table: Table, column: str) -> bool:
    """Whether a column can be a language: numbers and marks alone are none ("no" is also a number)."""
    cells = [cell for _, row in table.rows if (cell := row.get(column)) not in (None, "")]
    has_letters = any(isinstance(cell, list) or (isinstance(cell, str) and _has_letters(cell)) for cell in cells)
    return not cells or has_letters or world.has_file(code)


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))


def of_paths(source: Source) -> dict[str, str]:
    """Language code -> what the data set calls it, of a source with files for each language, sorted by code.

    From the list of digests, where there is one; else what language files say of the data set, and what is on this
    machine. UsageError for two names of one language.
    """
    named = sources.names(source)
    globs = [pattern.replace("{language}", "*") for pattern in _patterns(source).values()]
    listed = sources.local_names(source, globs) if named is None else named
    found: dict[str, str] = {}
    for pattern in _patterns(source).values():
        before, _, after = pattern.partition("{language}")
        shape = re.compile(f"{_regex(before)}(?P<language>[^/]+?){_regex(after)}")
        for name in listed:
            match = shape.fullmatch(name)
            code = match and _code(source, match["language"])
            if not match or not code:
                continue
            if found.setdefault(code, match["language"]) != match["language"]:
                raise UsageError(
                    f"{source['files']}: the files of '{found[code]}' and '{match['language']}' are both '{code}'; "
                    "keep those of one"
                )
    if named is None:
        dataset = source["dataset"]
        files = {code: known_languages.get(code) for code in known_languages.known()}
        found |= {code: language.codes[dataset] for code, language in files.items() if dataset in language.codes}
    return dict(sorted(found.items()))


def files(source: Source, code: str) -> list[tuple[str | None, str]]:
    """The files of one language, each with its category; none where the data set does not have the language."""
    called = of_paths(source).get(code)
    if called is None:
        return []
    filled = {key: pattern.format(language=called) for key, pattern in _patterns(source).items()}
    named = sources.names(source)
    if named is None:
        return list(filled.items())
    return [(key, name) for key, pattern in filled.items() for name in named if fnmatch(name, pattern)]


def field(column: Any, code: str) -> str | int:
    """The column of a field in one language: the same in all, or {code: column, "*": column of the others}."""
    if not isinstance(column, dict):
        return column
    own = {world.code_of(key) or key: name for key, name in column.items()}
    if (found := own.get(code, own.get(OTHERS))) is None:
        raise UsageError(f"'fields' names no column for '{code}'; add {code}, or \"*\" for all others")
    return found


def _patterns(source: Source) -> dict[str | None, str]:
    path = source["path"]
    return path if isinstance(path, dict) else {None: path}


def _regex(pattern: str) -> str:
    """A file name pattern as a regular expression that goes between others."""
    return translate(pattern).removeprefix("(?s:").removesuffix(")\\Z")
