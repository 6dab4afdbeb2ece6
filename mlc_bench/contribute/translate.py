"""`tasks translate`: a draft of a language's rows by a model, each with how well it survives translation back.

A draft is a start for a person, not data to trust: its rows have the field `draft`, records and tables name them, and
a review (see `review`) lifts that. Texts that a person has written are never touched.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlc_bench.catalog import languages, review
from mlc_bench.catalog.languages import Language
from mlc_bench.catalog.reading import read_json_lines
from mlc_bench.catalog.sources import check_not_installed
from mlc_bench.contribute import scaffold
from mlc_bench.contribute.translators import Text, Translator
from mlc_bench.core.errors import UsageError
from mlc_bench.core.progress import bar
from mlc_bench.records import record

Row = dict[str, Any]
Place = tuple[Path, int, str, int | None]  # file, row, field, which choice


@dataclass
class Draft:
    """One text: its draft, the draft translated back, and chrF (0 to 100) of that against the English."""

    file: str
    id: str
    field: str
    chrf: float | None
    problem: str | None
    english: str
    translation: str
    back: str
    is_written: bool


def missing(folder: Path, code: str) -> list[Row]:
    """The rows of a language as they are, in the order of English; TODO stands for what is not translated."""
    path = folder / f"{code}.jsonl"
    here = {row.get("id"): row for _, row in read_json_lines(path)} if path.exists() else {}
    english = [row for _, row in read_json_lines(folder / f"{scaffold.REFERENCE}.jsonl")]
    return [here.get(row.get("id")) or scaffold.blank(row) for row in english]


def check(folders: list[Path], code: str) -> None:
    """Raises UsageError where `draft` would, before a model is loaded, and for folders of an installed package."""
    for folder in folders:
        check_not_installed(folder, "translate in a checkout of mlc-bench (pip install -e .), or a pack of --include")
    _target(code)
    if not any(True for folder in folders for _ in _todo(folder, missing(folder, code))):
        raise UsageError(f"nothing is left to translate into '{code}'; a text that is not right: put TODO in its place")


def draft(folders: list[Path], code: str, translator: Translator) -> list[Draft]:
    """Fill in every TODO of a language in these folders of rows; what was made, the worst first.

    A text for which the model gave none (it declined, or repeated the English) stays TODO. Raises UsageError where
    the language has no finished file, and where nothing is left to translate.
    """
    target = _target(code)
    source = languages.get(scaffold.REFERENCE)
    rows = {folder: missing(folder, code) for folder in folders}
    english = {folder: [row for _, row in read_json_lines(folder / f"{source.code}.jsonl")] for folder in folders}
    places = [place for folder in folders for place in _todo(folder, rows[folder])]
    texts = [_original(english[place[0]], place) for place in places]
    with bar(f"translate into {target.name}") as report:
        replies = translator.translate(texts, source, target, report)
    drafts = [tidy(reply, text.text) for reply, text in zip(replies, texts, strict=True)]
    problems = [problem(made, text.text, target) for made, text in zip(drafts, texts, strict=True)]
    back = _back(drafts, texts, translator, source, target)
    found = []
    for place, text, made, wrong, again in zip(places, texts, drafts, problems, back, strict=True):
        is_written = wrong not in FATAL
        if is_written:
            _put(rows[place[0]], place, made, translator.name)
        found.append(
            Draft(
                file=str(place[0] / f"{code}.jsonl"),
                id=str(rows[place[0]][place[1]].get("id")),
                field=place[2] if place[3] is None else f"{place[2]}[{place[3]}]",
                chrf=similarity(again, text.text) if is_written else None,
                problem=wrong,
                english=text.text,
                translation=made,
                back=again,
                is_written=is_written,
            )
        )
    for folder, content in rows.items():
        path = folder / f"{code}.jsonl"
        record.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content))
    return sorted(found, key=lambda one: (one.problem is None, one.chrf if one.chrf is not None else -1.0))


def report(drafts: list[Draft]) -> str:
    """The drafts as JSON lines, in their order."""
    return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in drafts)


EMPTY, SAME, DECLINED = "no translation", "the English text again", "the model declined"
FATAL = (EMPTY, SAME, DECLINED)  # the text stays TODO


def tidy(reply: str, original: str) -> str:
    """The translation in a reply: without reasoning, quotation marks around it, and what follows a blank line."""
    from mlc_bench.judges.text import strip_reasoning

    text = (strip_reasoning(reply) or "").strip()
    if "\n\n" in text and "\n\n" not in original:
        text = text.split("\n\n")[0].strip()
    for first, last in ('""', "''", "“”", "«»", "「」", "„“"):
        if len(text) > 2 and text[0] == first and text[-1] == last and original[:1] not in "\"'“":
            text = text[1:-1].strip()
    return text


def problem(made: str, original: str, target: Language) -> str | None:
    """Why a draft needs a look before all others, or None."""
    from mlc_bench.contribute.validate import text as texts
    from mlc_bench.judges.rules import rules

    if not made:
        return EMPTY
    if " ".join(made.casefold().split()) == " ".join(original.casefold().split()):
        return None if len(original) < 4 or not any(map(str.isalpha, original)) else SAME
    if rules.judge("", made, target.code).reason == "refusal-phrase":
        return DECLINED
    for finding in texts.findings(made):
        return finding.what
    if texts.wrong_script(made, target):
        return f"not in the script {target.script}"
    if len(original.split()) > 2 and texts.wrong_language(made, target):
        return f"does not read as {target.name}"
    return None


def similarity(back: str, english: str) -> float:
    """chrF (Popović 2015; sacrebleu's defaults) of a translation back, 0 to 100."""
    from sacrebleu import sentence_chrf

    return round(float(sentence_chrf(back, [english]).score), 1)


def _target(code: str) -> Language:
    if code == scaffold.REFERENCE:
        raise UsageError("--to is the language to translate into, and the texts are in English")
    language = languages.get(code)
    if scaffold.TODO in (language.name, language.native_name):
        raise UsageError(
            f"{languages.FOLDER / code}.yaml does not say yet what the language is called; write its names"
        )
    return language


def _todo(folder: Path, rows: list[Row]) -> Iterator[Place]:
    for number, row in enumerate(rows):
        for name, value in row.items():
            if value == scaffold.TODO:
                yield folder, number, name, None
            elif name == "choices" and isinstance(value, list):
                yield from ((folder, number, name, index) for index, one in enumerate(value) if one == scaffold.TODO)


def _original(english: list[Row], place: Place) -> Text:
    _, number, name, index = place
    row = english[number]
    return Text(row[name]) if index is None else Text(row[name][index], row.get("question"))


def _back(
    drafts: list[str], texts: list[Text], translator: Translator, source: Language, target: Language
) -> list[str]:
    """Each draft in English again; an empty text for an empty draft."""
    wanted = [index for index, made in enumerate(drafts) if made]
    with bar("translate back") as report:
        replies = translator.translate([Text(drafts[index]) for index in wanted], target, source, report)
    back = [""] * len(drafts)
    for index, reply in zip(wanted, replies, strict=True):
        back[index] = tidy(reply, texts[index].text)
    return back


def _put(rows: list[Row], place: Place, made: str, maker: str) -> None:
    _, number, name, index = place
    row = rows[number]
    if index is None:
        row[name] = made
    else:
        row[name][index] = made
    row[review.DRAFT] = maker
