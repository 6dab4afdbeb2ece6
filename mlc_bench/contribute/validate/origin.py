"""Where a task's rows come from (its `dataset_kwargs`): one of three forms, pinned so that nobody gets other rows."""

import re
from pathlib import Path
from typing import Any

from mlc_bench.catalog.languages import world
from mlc_bench.catalog.limits import check_not_packed
from mlc_bench.catalog.taskcheck import is_count
from mlc_bench.contribute.validate.source import Faults, Yaml, is_text, one_line, quote, read_text
from mlc_bench.core.errors import UsageError
from mlc_bench.core.inside import check_relative, inside_pack

FORMS = {
    "folder": {"folder", "prompt_field"},
    "files": {"files", "path", "fields", "dataset"},
    "file": {"file", "columns"},
}
OPTIONAL = {
    "folder": {"sample"},
    "files": {"url", "hub", "revision", "sha256sums", "leave_out", "sample"},
    "file": {
        "url", "hub", "hub_file", "revision", "sha256", "dataset", "category_column", "where", "leave_out", "sample"
    },
}  # fmt: skip
# The words by which a card says that no digest is pinned: each machine keeps that of its first file.
UNPINNED = re.compile(r"kept\s+at\s+(?:its|the)\s+first\s+use")
_SLOT = re.compile(r"\{[^{}]*\}|[{}]")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def check(config: Yaml, pack: Path, faults: Faults) -> bool:
    """Whether the source is whole enough for rows to be looked for."""
    source = config.value.get("dataset_kwargs")
    line = config.line("dataset_kwargs")
    form = next((key for key in FORMS if isinstance(source, dict) and key in source), None)
    if form is None:
        fix = "write folder and prompt_field; or file and columns; or files, path, fields and dataset"
        faults.add(config.path, line, "'dataset_kwargs' does not say where the rows are", fix)
        return False
    before = len(faults.found)
    for key in sorted(FORMS[form] - set(source)):
        faults.add(config.path, line, f"'{key}' is missing", f"'{form}' goes with {', '.join(sorted(FORMS[form]))}")
    for key in source:
        if key not in FORMS[form] | OPTIONAL[form]:
            fix = f"remove it; with '{form}' go {', '.join(sorted(FORMS[form] | OPTIONAL[form]))}"
            faults.add(config.path, config.line("dataset_kwargs", key), f"unknown key {quote(key)}", fix)
    for key in sorted({"folder", "prompt_field", "file", "files", "dataset", "url", "hub", "hub_file"} & set(source)):
        if not is_text(source[key]):
            faults.add(config.path, config.line("dataset_kwargs", key), f"'{key}' is not text", "write a name")
    _check_names(config, source, pack, faults)
    if len(faults.found) > before:
        return False
    if form == "folder":
        return _check_folder(config, source, pack, faults)
    _check_pins(config, source, pack, faults)
    if len(faults.found) > before:
        return False
    return _check_columns(config, source, form, faults)


def _check_names(config: Yaml, source: dict[str, Any], pack: Path, faults: Faults) -> None:
    """Files are below their folder, and what picks rows is of the form that reading them wants."""
    paths = source.get("path")
    named = {key: source[key] for key in ("folder", "file", "files", "sha256sums", "hub_file", "path") if key in source}
    for key, value in named.items():
        for one in (paths or {}).values() if key == "path" and isinstance(paths, dict) else [value]:
            try:
                if key in ("folder", "sha256sums"):
                    inside_pack(pack.resolve(), one, f"'{key}'")
                else:
                    check_relative(one, f"'{key}'")
                    if key in ("file", "path"):
                        check_not_packed(one, f"'{key}'")
            except UsageError as error:
                what = f"'{key}' leads out of its folder: {quote(one)}"
                is_out = "leads out" in str(error)
                fix = "write a path below it" if is_out else "write another"
                faults.add(
                    config.path, config.line("dataset_kwargs", key), what if is_out else one_line(str(error)), fix
                )
    leave_out, where = source.get("leave_out", []), source.get("where", {})
    if not isinstance(leave_out, list) or not all(map(is_text, leave_out)):
        what = f"'leave_out' is {quote(leave_out)}"
        faults.add(config.path, config.line("dataset_kwargs", "leave_out"), what, "write a list of ids")
    if "sample" in source and not is_count(source["sample"]):
        what = f"'sample' is {quote(source['sample'])}"
        faults.add(config.path, config.line("dataset_kwargs", "sample"), what, "write a number of rows")
    if not isinstance(where, dict) or not all(map(is_text, [*where, *where.values()])):
        what = f"'where' is {quote(where)}"
        faults.add(config.path, config.line("dataset_kwargs", "where"), what, "write {column: value}, both text")
    if "category_column" in source and not is_text(source["category_column"]):
        line = config.line("dataset_kwargs", "category_column")
        faults.add(config.path, line, "'category_column' is not text", "write the column's name")


def _check_folder(config: Yaml, source: dict[str, Any], pack: Path, faults: Faults) -> bool:
    if not (pack.parent / source["folder"]).is_dir():
        fix = f"name a folder from the one above on, such as {pack.name}/prompts"
        what = f"there is no folder {quote(source['folder'])}"
        faults.add(config.path, config.line("dataset_kwargs", "folder"), what, fix)
        return False
    return True


def _check_pins(config: Yaml, source: dict[str, Any], pack: Path, faults: Faults) -> None:
    """A digest for every file, or a card that says there is none; a commit, where the hub or a repository has one."""
    line = config.line("dataset_kwargs")
    if "sha256" in source and not (isinstance(source["sha256"], str) and _SHA256.fullmatch(source["sha256"])):
        fix = "write the 64 digits that 'sha256sum FILE' prints"
        faults.add(config.path, config.line("dataset_kwargs", "sha256"), "'sha256' is not a digest", fix)
    if "sha256sums" in source:
        _check_digests(config, source, pack, faults)
    card = read_text(pack / "card.md", Faults()) or ""
    is_pinned = "sha256" in source or "sha256sums" in source
    is_excused = not is_pinned and UNPINNED.search(card) is not None
    if not is_pinned and not is_excused:
        fix = "write sha256 (or sha256sums), or say in card.md why not, and that the digest is kept at its first use"
        faults.add(config.path, line, "no digest is pinned, so the data could change", fix)
    if "hub" in source:
        revision = source.get("revision")
        if not isinstance(revision, str) or not (_COMMIT.fullmatch(revision) or is_excused):
            what = "'revision' is not a commit, so the data could change"
            fix = "write the 40 digits of a commit"
            faults.add(config.path, config.line("dataset_kwargs", "revision"), what, fix)
    if "url" not in source and "hub" not in source:
        faults.add(config.path, line, "does not say where the data come from", "write url, or hub and revision")


def _check_digests(config: Yaml, source: dict[str, Any], pack: Path, faults: Faults) -> None:
    line = config.line("dataset_kwargs", "sha256sums")
    if not is_text(source["sha256sums"]) or not (pack.parent / source["sha256sums"]).is_file():
        what = f"there is no file {quote(source['sha256sums'])}"
        faults.add(config.path, line, what, f"name it from the folder above on, such as {pack.name}/SHA256SUMS")
        return
    path = pack.parent / source["sha256sums"]
    seen: set[str] = set()
    for number, entry in enumerate((read_text(path, faults) or "").rstrip("\n").split("\n"), 1):
        digest, _, name = entry.partition("  ")
        if not _SHA256.fullmatch(digest) or not name:
            faults.add(
                path, number, "not a digest and a file name", "write it as sha256sum does: '<64 digits>  <file>'"
            )
        elif name in seen:
            faults.add(path, number, f"the file {quote(name)} appears twice", "keep the right one")
        seen.add(name)


def _check_columns(config: Yaml, source: dict[str, Any], form: str, faults: Faults) -> bool:
    """Which columns and files hold what."""
    key = "columns" if form == "file" else "fields"
    line = config.line("dataset_kwargs", key)
    value = source[key]
    if not isinstance(value, dict) or not value:
        faults.add(config.path, line, f"'{key}' is not a mapping", "write it as in tasks/pku or tasks/mgsm")
        return False
    if form == "files":
        if "prompt" not in value:
            faults.add(config.path, line, "'fields' does not name the column of the prompt", "add 'prompt: <column>'")
            return False
        paths = source["path"].values() if isinstance(source["path"], dict) else [source["path"]]
        if not all(isinstance(path, str) and _SLOT.findall(path) == ["{language}"] for path in paths):
            fix = "write {language} where a file's path names the language, and no other braces"
            faults.add(config.path, config.line("dataset_kwargs", "path"), "'path' has no {language}", fix)
            return False
        if not all(is_text(name) and _is_column(column) for name, column in value.items()):
            faults.add(config.path, line, "'fields' names no columns", "write {prompt: <name or number of the column>}")
            return False
        return True
    for name, pattern in value.items():
        at = config.line("dataset_kwargs", key, name)
        if not _is_code(name):
            fix = f"write its code{_meant(name)}, or * for all"
            faults.add(config.path, at, f"{quote(name)} is no known language", fix)
        if not is_text(pattern):
            faults.add(config.path, at, f"the column of {quote(name)} is not text", "write the column's name")
            return False
    return True


def _is_column(value: Any) -> bool:
    """A column's name or number, or {code: column} with "*" for the languages that are not named."""
    if isinstance(value, dict) and value:
        return all(map(_is_code, value)) and all(
            not isinstance(one, dict) and _is_column(one) for one in value.values()
        )
    return is_text(value) or type(value) is int


def _is_code(name: Any) -> bool:
    """Whether a key is a language's code as we write it, or "*"."""
    return name == "*" or (is_text(name) and world.of_tag(name) == name)


def _meant(name: Any) -> str:
    code = world.code_of(name) if is_text(name) else None
    return f", '{code}'" if code else ""
