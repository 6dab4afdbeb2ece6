"""Every language of the world: what data sets call it, as one of our codes or as its own tag (BCP 47, by langcodes).

A language file is needed for what only a speaker can write: how a refusal sounds, and the words around a choice. To
read data, to run and to judge by a model, a language's tag is enough.
"""

import re
from functools import cache

import langcodes
from langcodes import Language as Tag

from mlc_bench.catalog.languages import Language, UnknownLanguage, get, known

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")
_NO_LANGUAGE = {"und", "mul", "mis", "zxx", "art"}
_DARI = "prs"  # langcodes takes it for the Persian of Afghanistan, and Persian for one language
_SAME_SCRIPT = {"Hang": "Kore"}  # Korean with and without Chinese characters
_SCRIPTS = ("Arab", "Cyrl", "Deva", "Guru", "Hans", "Hant", "Hebr", "Latn", "Mong", "Tfng")
RIGHT_TO_LEFT = {"Arab", "Hebr", "Thaa", "Syrc", "Nkoo"}
_WORDS = {"cat", "new", "min", "ext", "src", "per", "sum"}  # as columns, these are no languages
_FEW = 100_000  # speakers: names of smaller languages are also words, as Label and Index
_SHORTEST_NAME = 4
# What langcodes, or CLDR in English, calls otherwise.
_NAMES = {
    "farsi": "Persian",
    "mandarin": "Chinese",
    "kurmanji": "Kurdish",
    "sorani": "Central Kurdish",
    "standard arabic": "Arabic",
    "modern standard arabic": "Arabic",
}


@cache
def code_of(name: str) -> str | None:
    """The code of the language that a name means; None for what is no language.

    Names are tags (`zh-Hant`, `pt_BR`), codes of ISO 639 (`eng`, `eng_Latn`), or the language's name in English or in
    itself (`Chinese (Simplified)`, `Kiswahili`). The code is one of ours only where it is that language in that
    script: `zh_CN` is `zh`, and `zh-Hant` stays what it is.
    """
    name = name.strip()
    if name in known():
        return name
    tag = _of_tag(name) or _of_name(name)
    return None if tag is None else _ours(tag) or _shortest(tag)


@cache
def column_code(name: str) -> str | None:
    """As `code_of`, for names of columns, of which most are no languages.

    Three letters count where they are the code of a large language: `tag` and `key` are codes, too.
    """
    if name in known():
        return name
    if re.search(r"[a-z][-_]id$", name):  # row_id
        return None
    if name.lower() in _WORDS:
        return None
    tag = _of_tag(name)
    if tag is not None and len(tag.language or "") == 3 and not (_is_large(tag) or _ours(tag)):
        tag = None
    tag = tag or _of_name(name)
    return None if tag is None else _ours(tag) or _shortest(tag)


@cache
def of_tag(name: str) -> str | None:
    """As `code_of`, for tags and codes alone: what options take."""
    if name in known():
        return name
    tag = _of_tag(name)
    return None if tag is None else _ours(tag) or _shortest(tag)


def has_file(code: str) -> bool:
    """Whether somebody has written down how the language refuses, and its words around choices."""
    return code in known()


@cache
def describe(code: str) -> Language:
    """A language with its file, or what is known of it without one: names, script, codes; no words and no phrases.

    Raises UnknownLanguage for what is no language, UsageError for a file with a wrong key.
    """
    if has_file(code):
        return get(code)
    if code_of(code) is None:
        get(code)  # which says what is near
        raise UnknownLanguage(f"unknown language '{code}'")
    tag = Tag.get(code)
    script = _script(tag) or "Zyyy"
    return Language(
        code=code,
        name=tag.display_name(),
        native_name=tag.autonym(),
        script=script,
        iso639_3=_alpha3(tag),
        direction="rtl" if script in RIGHT_TO_LEFT else "ltr",
        identified_as=[],
        words={},
        choose="",
        refusal=[],
        native_speaker_checks=[],
    )


def base(code: str) -> str:
    """The language of a tag without script and region, one code for each language: what a text can be identified as."""
    found = code_of(code) or code
    return found if has_file(found) else found.partition("-")[0]


def _of_tag(name: str) -> Tag | None:
    if not _TAG.fullmatch(name):
        return None
    first, _, rest = name.replace("_", "-").partition("-")
    if first.lower() == _DARI:
        return Tag.make(_DARI)
    try:
        tag = Tag.get(langcodes.standardize_tag(f"{first}-{rest}" if rest else first, macro=True))
    except ValueError:
        return None
    if (tag.language, tag.territory) == ("fa", "AF"):
        return Tag.make(_DARI)
    return tag if tag.is_valid() and tag.language not in {None, *_NO_LANGUAGE} else None


def _of_name(name: str) -> Tag | None:
    """A language by its name, perhaps with its script or country in brackets."""
    if len(name) < _SHORTEST_NAME and name.isascii():
        return None
    name = name.replace("_", " ")
    if found := _named(name):
        return found
    plain, bracket, detail = name.partition("(") if "(" in name else name.partition(" ")
    found = _named(plain.strip()) if bracket else None
    if found is None:
        return None
    for kind in ("script", "territory"):
        try:
            return found.update(Tag.find_name(kind, detail.strip(" )"), "en"))
        except LookupError:
            continue
    return found if bracket == "(" else None  # "English text" is none


def _named(name: str) -> Tag | None:
    """A language whose name this is, to the letter: langcodes also takes what only begins with one (Persona)."""
    lowered = name.casefold()
    for code in known():
        if lowered in (get(code).name.casefold(), get(code).native_name.casefold()):
            return Tag.get(code)
    if lowered == "dari":
        return Tag.make(_DARI)
    try:
        tag = langcodes.find(_NAMES.get(lowered, name))
    except LookupError:
        return None
    plain = Tag.make(tag.language)
    known_as = {one.casefold() for own in (tag, plain) for one in (own.display_name(), own.autonym())}
    if lowered not in known_as | set(_NAMES) and lowered.split()[-1] not in known_as:  # "Brazilian Portuguese"
        return None
    return tag if len(tag.language or "") == 2 or _is_large(tag) else None


def _is_large(tag: Tag) -> bool:
    return tag.language == _DARI or tag.speaking_population() >= _FEW


def _script(tag: Tag) -> str | None:
    script = tag.script or tag.maximize().script
    return _SAME_SCRIPT.get(script, script) if script else None


def _ours(tag: Tag) -> str | None:
    """The code of our language that a tag means: the same language in the same script, wherever it is spoken."""
    for code in known():
        ours, language = Tag.get(code), get(code)
        flores = language.codes.get("belebele", "").partition("_")[0]  # which names languages as FLORES-200 does
        same = tag.language in (ours.language, language.iso639_3, flores)
        if same and _script(tag) == language.script and ours.territory in (None, tag.territory):
            return code
    return None


def _shortest(tag: Tag) -> str:
    """A tag without a script that goes without saying."""
    without = Tag.make(tag.language, territory=tag.territory, variants=tag.variants)
    return (without if _script(without) == _script(tag) else tag).to_tag()


def _alpha3(tag: Tag) -> str:
    try:
        return tag.to_alpha3()
    except LookupError:
        return "und"
