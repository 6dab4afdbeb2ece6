"""A folder of tasks: its task files, its rows, its card, and what they say of each other."""

import re
from collections.abc import Iterable
from pathlib import Path

from mlc_bench.catalog import data, listing, review
from mlc_bench.contribute.validate import accepted, as_run, published, rows, task, template
from mlc_bench.contribute.validate.source import (
    TODO,
    Faults,
    Yaml,
    check_inside,
    is_text,
    one_line,
    quote,
    read_rows,
    read_text,
    read_yaml,
)
from mlc_bench.core.errors import UserError

# What a card speaks of, each with words of which one must be in it.
CARD = {
    "where the data come from": ("source", "written for"),
    "how they were made": ("made", "translated", "written by"),
    "the licence": ("licence", "license"),
    "known faults": ("known",),
    "what a good score hides": ("hides",),
}


def check(folder: Path, faults: Faults, only: str | None = None) -> None:
    """Check a folder of tasks; `only` its rows in one language, where that is given, and what stops every run."""
    if not check_inside(folder, faults):
        return
    paths = sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    if not paths:
        faults.add(folder, 1, "has no task file", "write one: mlc-bench tasks new NAME")
    general = faults if only is None else Faults()
    configs = [found for path in paths if (found := read_yaml(path, general)) is not None]
    usable = [config for config in configs if task.check(config, folder, configs, general)]
    for config in configs:
        if isinstance(config.value, dict):
            template.check_syntax(config, general)
    check_card(folder / "card.md", folder.name, usable, general)
    accepts = accepted.read(folder, faults)
    covered: dict[Path, set[str]] = {}
    holds = as_run.languages_hold(faults)
    for one in _row_folders(folder, usable, accepts, faults):
        codes = rows.check(one, only) if holds else None
        if codes is not None:
            covered[one.path] = codes
    _check_reviews(folder, covered, faults, only)
    if only is None and holds:
        _check_coverage(covered, faults)
        for config in usable:
            documents = template.check_rendering(config, folder, faults)
            _check_companion(config, usable, faults)
            _check_published(config, folder, documents, accepts, faults)
    else:
        accepts.unseen |= {_task(config) for config in usable if "folder" not in config.value["dataset_kwargs"]}
    if holds:
        accepts.report_unused(faults, only)
    for path in paths:
        if path.suffix == ".yaml":
            as_run.check(path, faults)


def _task(config: Yaml) -> str | None:
    """The name of a task; None where the file has none that is a text, which is a fault of its own."""
    name = config.value.get("task")
    return name if isinstance(name, str) else None


def _check_published(
    config: Yaml, folder: Path, documents: template.Documents | None, accepts: accepted.Accepted, faults: Faults
) -> None:
    """What rows elsewhere say, where they are here: in packs from elsewhere, and in ours that list what is accepted."""
    source = config.value["dataset_kwargs"]
    if "folder" in source:
        return
    is_listed = accepts.path.exists() or folder.resolve().parent != data.TASKS
    if not documents or len(documents) < len(data.languages(source | {"root": str(folder.parent.resolve())}) or ()):
        accepts.unseen.add(_task(config))
    if documents and is_listed:
        published.check(config, documents, accepts, faults)


def check_card(path: Path, name: str, configs: list[Yaml], faults: Faults) -> None:
    """The card begins with the folder's name, speaks of all that a reader must know, and names the version."""
    if (text := read_text(path, faults)) is None:
        return
    lines = text.split("\n")
    if lines[0].strip() != f"# {name}":
        faults.add(path, 1, "does not begin with the folder's name", f"write '# {name}' on its first line")
    for number, line in enumerate(lines, 1):
        if TODO.search(line):
            faults.add(path, number, "still holds 'TODO'", "put the text in its place")
    for subject, words in CARD.items():
        if not any(word in text.lower() for word in words):
            fix = f"write it, with one of the words: {', '.join(words)}"
            faults.add(path, len(lines), f"says nothing on: {subject}", fix)
    metadata = [config.value["metadata"] for config in configs if isinstance(config.value.get("metadata"), dict)]
    versions = {one["version"] for one in metadata if type(one.get("version")) is int}
    said = [
        (int(number), index)
        for index, line in enumerate(lines, 1)
        for number in re.findall(r"\bVersion (\d{1,9})\b", line)
    ]
    if versions and not versions & {number for number, _ in said}:
        at = said[-1][1] if said else len(lines)
        wanted = " and ".join(str(version) for version in sorted(versions))
        faults.add(path, at, "does not say the version of the task files", f"write 'Version {wanted}.'")


def _row_folders(
    folder: Path, configs: list[Yaml], accepts: accepted.Accepted, faults: Faults
) -> Iterable[rows.Folder]:
    found: dict[Path, rows.Folder] = {}
    for config in configs:
        source = config.value["dataset_kwargs"]
        if "folder" not in source:
            continue
        path = folder.parent / source["folder"]
        metadata = config.value.get("metadata")
        parallel = not isinstance(metadata, dict) or metadata.get("parallel") is not False
        one = found.setdefault(path, rows.Folder(path, set(), parallel, accepts, faults))
        one.fields.add(source["prompt_field"])
        if config.value.get("output_type") == "multiple_choice":
            one.fields |= {"choices", "answer"}
    return found.values()


def _check_coverage(covered: dict[Path, set[str]], faults: Faults) -> None:
    """The folders of rows have the same languages."""
    every = set().union(*covered.values())
    for path, codes in covered.items():
        for code in sorted(every - codes):
            file = path / f"{code}.jsonl"
            if not file.exists():
                fix = f"write it: mlc-bench languages new {code}"
                faults.add(file, 1, f"is missing; other rows of the folder have '{code}'", fix)


def _check_companion(config: Yaml, configs: list[Yaml], faults: Faults) -> None:
    metadata = config.value.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("measures") != "safety":
        return
    name = metadata.get("over_refusal")
    line = config.line("metadata", "over_refusal")
    if name is None:
        fix = "name the over-refusal task that tables show beside it"
        faults.add(config.path, line, "metadata 'over_refusal' is missing", fix)
        return
    measured = None
    for other in configs:
        if is_text(name) and other.value.get("task") == name:
            measured = other.value.get("metadata")
    if measured is None and is_text(name):
        try:
            measured = listing.tasks()[name].config["metadata"]
        except (UserError, KeyError):
            measured = None
    if not isinstance(measured, dict) or measured.get("measures") != "over_refusal":
        faults.add(config.path, line, f"{quote(name)} is no over-refusal task", "name one that measures over_refusal")


def _check_reviews(folder: Path, covered: dict[Path, set[str]], faults: Faults, only: str | None) -> None:
    """Lines that are no reviews, and reviews of what is not there; of the latter those in one language, `only`."""
    path = folder / review.REVIEWS
    if not path.exists():
        return
    known = set().union(*covered.values())
    ids = {
        row.values["id"]
        for one in covered
        for row in read_rows(one / f"{rows.REFERENCE}.jsonl", Faults()) or []
        if isinstance(row.values.get("id"), str)
    }
    for row in read_rows(path, faults) or []:
        try:
            found = review.parse(row.values)
        except UserError as error:
            fix = 'write {"language": "sw", "who": "...", "date": "2026-01-31", "ids": "all"}'
            faults.add(path, row.line, one_line(str(error)), fix)
            continue
        if only not in (None, found.language):
            continue
        if found.language not in known:
            what = f"there are no rows in {quote(found.language)}"
            faults.add(path, row.line, what, f"write one of {', '.join(sorted(known))}")
        for row_id in sorted((found.ids or frozenset()) - ids):
            faults.add(path, row.line, f"there is no row {quote(row_id)}", "fix the id")
