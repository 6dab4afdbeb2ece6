"""Is this text complete, and in its language and script? Pure checks of one text each."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mlc_bench.catalog.languages import Language
from mlc_bench.contribute.validate.source import quote


@dataclass(frozen=True)
class Finding:
    """What is wrong with a text. `check` names the check, for the list of accepted findings."""

    check: str
    what: str
    fix: str


# ISO 15924 code -> how the Unicode names of its letters begin.
SCRIPTS = {
    "Latn": ("LATIN", "FULLWIDTH LATIN"),
    "Cyrl": ("CYRILLIC",),
    "Grek": ("GREEK",),
    "Arab": ("ARABIC",),
    "Hebr": ("HEBREW",),
    "Thaa": ("THAANA",),
    "Syrc": ("SYRIAC",),
    "Nkoo": ("NKO",),
    "Armn": ("ARMENIAN",),
    "Geor": ("GEORGIAN",),
    "Ethi": ("ETHIOPIC",),
    "Tfng": ("TIFINAGH",),
    "Deva": ("DEVANAGARI",),
    "Beng": ("BENGALI",),
    "Guru": ("GURMUKHI",),
    "Gujr": ("GUJARATI",),
    "Orya": ("ORIYA",),
    "Taml": ("TAMIL",),
    "Telu": ("TELUGU",),
    "Knda": ("KANNADA",),
    "Mlym": ("MALAYALAM",),
    "Sinh": ("SINHALA",),
    "Olck": ("OL CHIKI",),
    "Mtei": ("MEETEI",),
    "Thai": ("THAI",),
    "Laoo": ("LAO",),
    "Khmr": ("KHMER",),
    "Mymr": ("MYANMAR",),
    "Tibt": ("TIBETAN",),
    "Java": ("JAVANESE",),
    "Mong": ("MONGOLIAN",),
    "Cans": ("CANADIAN",),
    "Cher": ("CHEROKEE",),
    "Hani": ("CJK",),
    "Hans": ("CJK",),
    "Hant": ("CJK",),
    "Hang": ("HANGUL",),
    "Kore": ("HANGUL", "CJK"),
    "Jpan": ("HIRAGANA", "KATAKANA", "CJK", "HALFWIDTH KATAKANA"),
}
RIGHT_TO_LEFT = {"Arab", "Hebr", "Thaa", "Syrc", "Nkoo"}
SMALLEST_SHARE = 0.5  # of a text's letters; below it, it is in another script (names and units are often Latin)

_PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|TBD|XXX+)\b|(?i:\blorem ipsum\b)")
_LEFTOVER = re.compile(r"\{\{|\}\}|\{%|<\||\|>|</?s>|\[/?INST\]|&(?:amp|lt|gt|quot|nbsp|#\d+);|</?(?:br|p|div|span)\b")
_TRANSLATOR = re.compile(r"(?i)^(?:sure|certainly|here is|here's|translation|translated)\b[^.?!]{0,60}:\s*\S")
# Invisible characters that no text needs. Joiners (U+200C, U+200D) are letters' business in many scripts.
_INVISIBLE = {"\u00ad", "\u200b", "\u200e", "\u200f", "\u2060", "\ufeff", *map(chr, range(0x202A, 0x202F)),
              *map(chr, range(0x2066, 0x206A))}  # fmt: skip
_SIMILAR = {"LATIN", "CYRILLIC", "GREEK"}  # scripts with letters that look alike
_WORD = re.compile(r"[^\W\d_]+")


def findings(text: str) -> Iterator[Finding]:
    """What is wrong with a text whatever its language."""
    if not text.strip():
        yield Finding("empty", "is empty", "write the text")
        return
    if match := _PLACEHOLDER.search(text):
        yield Finding("placeholder", f"still holds {quote(match[0])}", "put the text in its place")
        return
    for char in text:
        if char in "\n\t":
            continue
        category = unicodedata.category(char)
        if category == "Cs":
            yield Finding("character", f"holds half a character (U+{ord(char):04X})", "write the character anew")
            return  # what follows cannot handle it
        if category in ("Cc", "Zl", "Zp") or char in _INVISIBLE:
            name = unicodedata.name(char, "control character").lower()
            yield Finding("character", f"holds U+{ord(char):04X} ({name})", "remove it")
            break
        if char == "\ufffd":
            yield Finding("character", "holds U+FFFD, which marks a lost character", "write the character anew")
            break
        if category in ("Cn", "Co"):
            yield Finding("character", f"holds U+{ord(char):04X}, which is no character", "write the character anew")
            break
    if text != text.strip():
        yield Finding("space", "begins or ends with a space or line break", "remove it")
    if _is_mojibake(text):
        yield Finding("mojibake", "was read in a wrong encoding once (as in 'Ã©' for 'é')", "copy the text anew")
    if not unicodedata.is_normalized("NFC", text):
        yield Finding("nfc", "is not in Unicode's form NFC", "normalise it: unicodedata.normalize('NFC', text)")
    if match := _LEFTOVER.search(text):
        yield Finding("leftover", f"holds {quote(match[0])}, a leftover of a template or web page", "remove it")
    if match := _TRANSLATOR.match(text):
        yield Finding(
            "translator", f"begins with the translator's words: {quote(match[0])}", "keep the translation only"
        )
    for word in _WORD.findall(text):
        kinds = {_kind(letter) for letter in word} & _SIMILAR
        if len(kinds) > 1:
            what = f"the word {quote(word)} mixes letters of {' and '.join(sorted(kinds))} that look alike"
            yield Finding("mixed", what, "type the word in one script")
            break


def script_share(text: str, script: str) -> float | None:
    """The share of letters that belong to a script; None for a text without letters or a script without names here."""
    if script not in SCRIPTS:
        return None
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return None
    return sum(_name(letter).startswith(SCRIPTS[script]) for letter in letters) / len(letters)


def wrong_script(text: str, language: Language) -> Finding | None:
    share = script_share(text, language.script)
    if share is None or share >= SMALLEST_SHARE:
        return None
    what = f"{quote(text)} is not in the script of {language.name} ({language.script}: {share:.0%} of its letters)"
    return Finding("script", what, "write it in that script")


def wrong_language(text: str, language: Language) -> Finding | None:
    found = _identified(text, language.code)
    if found in (None, language.code):
        return None
    what = f"{quote(text)} reads as '{found}', not as {language.name}"
    return Finding("language", what, "translate it, or give the reason in accepted.jsonl")


def _is_mojibake(text: str) -> bool:
    for encoding in ("cp1252", "latin-1"):
        try:
            again = text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if again != text:
            return True
    return False


@lru_cache(maxsize=1 << 14)
def _identified(text: str, expected: str) -> str | None:
    from mlc_bench.judges import langid

    return langid.identify(text, expected)


@lru_cache(maxsize=4096)
def _name(char: str) -> str:
    return unicodedata.name(char, "")


def _kind(char: str) -> str:
    return _name(char).partition(" ")[0]
