"""A folder of embedded data, a file of JSON lines per language, checked row by row against its English."""

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mlc_bench.catalog import review
from mlc_bench.catalog.languages import Language, world
from mlc_bench.contribute.scaffold import TODO
from mlc_bench.contribute.validate import text as texts
from mlc_bench.contribute.validate.accepted import Accepted
from mlc_bench.contribute.validate.source import Faults, Row, is_text, quote, read_rows
from mlc_bench.core.errors import UserError

REFERENCE = "en"
GROUPS = ("category", "topic")  # what sorts rows into kinds; the same in every language
NOT_DATA = {"id", *GROUPS, "answer", "english", review.DRAFT}
OPTIONAL = {"english", review.DRAFT}
FEW_ROWS = 5  # fewer have no usual length
LENGTHS = (0.3, 3.0)  # times the file's usual length relative to English; further off, words are lost or added
_SLOT = re.compile(r"\{[^{}]*\}|%[sd]|https?://\S+")


T = TypeVar("T")


@dataclass
class Folder:
    """One folder of rows: where it is, the fields that its tasks ask for, and what it may hold."""

    path: Path
    fields: set[str]
    parallel: bool
    accepted: Accepted
    faults: Faults


def check(folder: Folder, only: str | None = None) -> set[str] | None:
    """Check every language of a folder, or `only` one against its English; the languages that have a file.

    None where the folder has no English file that can be read, so that there is nothing to check against.
    """
    faults = folder.faults
    codes = _codes(folder, only)
    if not folder.parallel:
        for code in codes:
            path = folder.path / f"{code}.jsonl"
            own = read_rows(path, faults)
            if own is not None:
                _check_rows(folder, world.describe(code), path, own, _Reference(own, _usual_fields(own)), faults)
        return set(codes)
    english_path = folder.path / f"{REFERENCE}.jsonl"
    silent = faults if only in (None, REFERENCE) else Faults()
    english = read_rows(english_path, silent)
    if english is None:
        return None
    reference = _Reference(english, _usual_fields(english))
    _check_english(folder, english_path, reference, silent)
    for code in codes:
        if code != REFERENCE and only in (None, code):
            _check_language(folder, world.describe(code), reference)
    return {REFERENCE, *codes}


@dataclass
class _Reference:
    rows: list[Row]
    fields: set[str]

    def __post_init__(self) -> None:
        self.by_id = {row.values["id"]: row for row in self.rows if isinstance(row.values.get("id"), str)}
        self.order = list(self.by_id)

    def find(self, row: Row) -> Row | None:
        """The English of a row."""
        row_id = row.values.get("id")
        return self.by_id.get(row_id) if isinstance(row_id, str) else None


def _usual_fields(rows: list[Row]) -> set[str]:
    """The fields that more than half of the rows have."""
    names = {name for row in rows for name in row.values}
    return {name for name in names if sum(name in row.values for row in rows) * 2 > len(rows)} - OPTIONAL


def _codes(folder: Folder, only: str | None) -> list[str]:
    found = []
    for path in sorted(folder.path.iterdir()) if folder.path.is_dir() else []:
        code = path.stem
        if only is not None and code != only:
            continue
        if path.suffix != ".jsonl":
            folder.faults.add(path, 1, "is not a data file", "name it <code>.jsonl, or move it out of the folder")
        elif world.of_tag(code) != code:
            fix = f"name it {world.code_of(code) or '<code>'}.jsonl, by its BCP 47 code"
            folder.faults.add(path, 1, f"{quote(code)} is not a known language", fix)
        else:
            try:
                world.describe(code)
                found.append(code)
            except UserError:
                fix = f"fix it: mlc-bench tasks validate {code}"
                folder.faults.add(path, 1, f"the language file of '{code}' has faults", fix)
    return found


def _check_english(folder: Folder, path: Path, reference: _Reference, faults: Faults) -> None:
    for name in sorted(folder.fields - reference.fields):
        faults.add(path, 1, f"most rows have no field '{name}'", "add the field that the task file names")
    if not any(name in reference.fields for name in GROUPS):
        faults.add(path, 1, "most rows have no 'category'", "give each row the kind of thing it asks for")
    _check_rows(folder, world.describe(REFERENCE), path, reference.rows, reference, faults)
    for name in GROUPS:
        for row in reference.rows:
            if name in reference.fields and not is_text(row.values.get(name)):
                faults.add(path, row.line, f"'{name}' is not text", "write a word for the kind of row")


def _check_language(folder: Folder, language: Language, reference: _Reference) -> None:
    path = folder.path / f"{language.code}.jsonl"
    rows = read_rows(path, folder.faults)
    if rows is None:
        return
    _check_ids(path, rows, reference, folder.faults)
    _check_rows(folder, language, path, rows, reference, folder.faults)
    _check_lengths(folder, language, path, rows, reference)


def _check_ids(path: Path, rows: list[Row], reference: _Reference, faults: Faults) -> None:
    """The ids of English, in its order."""
    here = [row.values.get("id") for row in rows]
    present = {value for value in here if isinstance(value, str)}
    lines = {row.values["id"]: row.line for row in rows if isinstance(row.values.get("id"), str)}
    line = 0
    for row_id in reference.order:
        if row_id in present:
            line = lines[row_id]
        else:
            faults.add(path, line + 1, f"the row {quote(row_id)} is missing here", "add it, as in en.jsonl")
    for row in rows:
        row_id = row.values.get("id")
        if isinstance(row_id, str) and row_id not in reference.by_id:
            faults.add(path, row.line, f"en.jsonl has no row {quote(row_id)}", "fix the id, or remove the row")
    shared = list(dict.fromkeys(row_id for row_id in here if isinstance(row_id, str) and row_id in reference.by_id))
    for found, wanted in zip(shared, [row_id for row_id in reference.order if row_id in present], strict=True):
        if found != wanted:
            what = f"{quote(found)} is where en.jsonl has {quote(wanted)}"
            faults.add(path, lines[found], what, "put the rows in the order of en.jsonl")
            break


def _check_rows(
    folder: Folder, language: Language, path: Path, rows: list[Row], reference: _Reference, faults: Faults
) -> None:
    first_line: dict[str, int] = {}
    first_use: dict[tuple[str, str], tuple[int, str]] = {}
    for row in rows:
        row_id = row.values.get("id")
        if not is_text(row_id):
            what = "'id' is missing" if "id" not in row.values else "'id' is not text"
            faults.add(path, row.line, what, "give the row the id that it has in en.jsonl")
        elif row_id in first_line:
            what = f"the id {quote(row_id)} is on two rows (first on line {first_line[row_id]})"
            faults.add(path, row.line, what, "give each row an id of its own")
        else:
            first_line[row_id] = row.line
        _check_fields(folder, path, row, reference, faults)
        english = reference.find(row)

        def report(name: str, finding: texts.Finding, row: Row = row, row_id: Any = row_id) -> None:
            if folder.accepted.takes(language.code, str(row_id), name, finding.check):
                return
            of = "" if finding.check in ("choice", "differs") else f"'{name}' of {quote(row_id)}: "
            faults.add(path, row.line, f"{of}{finding.what}", finding.fix)

        if english is not None and english is not row:
            for name, finding in _constants(row, english, reference):
                report(name, finding)
            _check_english_given(path, row, english, faults)
        for name, value in _text_fields(row):
            for finding in text_findings(language, row, english, name, value):
                report(name, finding)
            if is_text(value) and value != TODO and name in reference.fields and name != "choices":
                known = first_use.setdefault((name, folded(value)), (row.line, str(row_id)))
                if known[0] != row.line:
                    what = f"says the same as {quote(known[1])} (line {known[0]})"
                    report(name, texts.Finding("duplicate", what, "ask something else"))
        if {"harmful", "benign"} <= folder.fields and is_text(harmful := row.values.get("harmful")):
            benign = row.values.get("benign")
            if isinstance(benign, str) and benign != TODO and folded(benign) == folded(harmful):
                what = "says the same as 'harmful'"
                report("benign", texts.Finding("pair", what, "write the harmless request in its place"))
        if "choices" in folder.fields:
            _check_choices(path, row, faults)
            if twice := _twice(row):
                report("choices", twice)


def _check_fields(folder: Folder, path: Path, row: Row, reference: _Reference, faults: Faults) -> None:
    wanted = (reference.fields | folder.fields) - {"id"}
    for name in sorted(wanted - set(row.values)):
        faults.add(path, row.line, f"the field '{name}' is missing", "add it, as in en.jsonl")
    for name in sorted(set(row.values) - wanted - OPTIONAL - {"id"}):
        fix = f"rename or remove it; known: {', '.join(sorted(wanted))}"
        faults.add(path, row.line, f"unknown field {quote(name)}", fix)
    for name in sorted(folder.fields & set(row.values)):
        if name not in ("choices", "answer") and not isinstance(row.values[name], str):
            faults.add(path, row.line, f"'{name}' is not text", "write a text in quotes")
    if not is_text(row.values.get(review.DRAFT, "a model")):
        faults.add(path, row.line, f"'{review.DRAFT}' is not text", "write what made the draft, or remove the field")


def _constants(row: Row, english: Row, reference: _Reference) -> Iterator[tuple[str, texts.Finding]]:
    """What is the same in every language and is not here: kind, right answer, number of choices."""
    for name in (*GROUPS, "answer"):
        here, there = row.values.get(name), english.values.get(name)
        if name in row.values and name in reference.fields and (here != there or type(here) is not type(there)):
            what = f"'{name}' is {quote(here)}, in en.jsonl {quote(there)}"
            yield name, texts.Finding("differs", what, "make them equal")
    here, there = row.values.get("choices"), english.values.get("choices")
    if isinstance(here, list) and isinstance(there, list) and len(here) != len(there):
        what = f"{len(here)} choices, in en.jsonl {len(there)}"
        yield "choices", texts.Finding("differs", what, "give as many as English has")


def _check_english_given(path: Path, row: Row, english: Row, faults: Faults) -> None:
    """The English that was translated is still the English."""
    given = row.values.get("english")
    if given is None:
        return
    if not isinstance(given, dict):
        faults.add(path, row.line, "'english' is not an object", "remove the field")
        return
    for name, value in given.items():
        if value != english.values.get(name):
            what = f"the English of '{name}' has changed since it was translated, or 'english' was edited"
            faults.add(path, row.line, what, "look at en.jsonl, fix the translation, remove the field 'english'")


def _text_fields(row: Row) -> Iterator[tuple[str, Any]]:
    """(name, text) of what is in the row's language; the choices are one text each."""
    for name, value in row.values.items():
        if name in NOT_DATA:
            continue
        if name == "choices":
            yield from ((name, choice) for choice in _choices(row))
        elif isinstance(value, str):
            yield name, value


def _choices(row: Row) -> list[str]:
    """The choices of a row that are text."""
    choices = row.values.get("choices")
    return [choice for choice in choices if isinstance(choice, str)] if isinstance(choices, list) else []


def _spelling(row: Row) -> list[str]:
    return [folded(choice) for choice in _choices(row)]


def text_findings(language: Language, row: Row, english: Row | None, name: str, value: str) -> Iterator[texts.Finding]:
    """What is wrong with a text of a row, by itself and beside the English of the row."""
    wrong = list(texts.findings(value))
    yield from wrong
    if any(finding.check in ("empty", "placeholder", "character") for finding in wrong) or name == "choices":
        if name == "choices" and not wrong and (finding := texts.wrong_script(value, language)):
            yield finding
        return
    if finding := texts.wrong_script(value, language):
        yield finding
        return
    original = english.values.get(name) if english else None
    if isinstance(original, str) and english is not row:
        if folded(value) == folded(original):
            yield texts.Finding("english", "is the English text", f"translate it into {language.name}")
            return
        if sorted(_SLOT.findall(value)) != sorted(_SLOT.findall(original)):
            slots = ", ".join(_SLOT.findall(original)) or "none"
            yield texts.Finding("slots", "has other {slots} or web addresses than English", f"take over: {slots}")
    choices = _choices(row) if name == "question" else []
    is_translated = english is None or english is row or _spelling(row) != _spelling(english)
    if name == "question" and not is_translated and any(map(str.isalpha, "".join(choices))):
        yield texts.Finding("english", "has the English choices", f"translate them into {language.name}")
    if finding := texts.wrong_language(" ".join([value, *choices]), language):
        yield finding
    elif language.code != REFERENCE and name == "harmful" and _declines(value, language.code):
        yield texts.Finding("declined", "reads as a refusal to translate", "put the translation of the request there")


@lru_cache(maxsize=1 << 12)
def _declines(value: str, code: str) -> bool:
    from mlc_bench.judges.rules import rules

    return rules.judge("", value, code).reason == "refusal-phrase"


def _check_choices(path: Path, row: Row, faults: Faults) -> None:
    choices, answer = row.values.get("choices"), row.values.get("answer")
    if "choices" in row.values:
        if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices) or not choices:
            faults.add(path, row.line, "'choices' is not a list of texts", 'write ["...", "...", "...", "..."]')
            return
        if "answer" in row.values and (type(answer) is not int or not 0 <= answer < len(choices)):
            fix = f"write the number of the right choice, from 0 to {len(choices) - 1}"
            faults.add(path, row.line, f"'answer' is {quote(answer)}", fix)


def _twice(row: Row) -> texts.Finding | None:
    """A choice that is there twice."""
    spelt = _spelling(row)
    if len(set(spelt)) == len(spelt) or TODO in _choices(row):
        return None
    twice = next(choice for choice in _choices(row) if spelt.count(folded(choice)) > 1)
    return texts.Finding("choice", f"the choice {quote(twice)} appears twice", "make the choices different")


def _check_lengths(folder: Folder, language: Language, path: Path, rows: list[Row], reference: _Reference) -> None:
    for name in sorted(folder.fields - {"choices"}):
        ratios: list[tuple[float, Row]] = []
        for row in rows:
            english = reference.find(row)
            here, there = row.values.get(name), english.values.get(name) if english else None
            if is_text(here) and is_text(there) and not any(texts.findings(here)):
                ratios.append((len(here) / len(there), row))
        for row, finding in unusual_lengths(ratios):
            if not folder.accepted.takes(language.code, row.values["id"], name, finding.check):
                what = f"'{name}' of {quote(row.values['id'])}: {finding.what}"
                folder.faults.add(path, row.line, what, finding.fix)


def unusual_lengths(ratios: list[tuple[float, T]]) -> Iterator[tuple[T, texts.Finding]]:
    """What is far from the usual length, of (length relative to English, what it is of)."""
    if len(ratios) < FEW_ROWS:
        return
    usual = statistics.median(ratio for ratio, _ in ratios)
    for ratio, of in ratios:
        if not LENGTHS[0] <= ratio / usual <= LENGTHS[1]:
            how = "short" if ratio < usual else "long"
            what = f"is unusually {how} for its English text"
            yield of, texts.Finding("length", what, "see whether something was lost or added")


def folded(value: str) -> str:
    """A text as two rows that ask the same thing have it: without case, spaces and the mark at its end."""
    return " ".join(value.casefold().split()).rstrip(".?!。？！؟۔। ")
