"""The languages of the project: one file `<code>.yaml` beside this one each, and no other list anywhere."""

import difflib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from mlc_bench.core import bounded, safe_yaml
from mlc_bench.core.errors import UsageError
from mlc_bench.core.names import is_name

FOLDER = Path(__file__).resolve().parent
CHOOSING = {
    "answer": "more words for 'answer', besides the one under 'words'",
    "right": "that call the letter before them right: correct, is right",
    "not_before": "that rule out the letter behind them: not, rather than",
    "not_after": "that rule out the letter before them: is wrong, is not",
    "or": "between letters of which none is chosen: or, and",
    "so": "that draw the conclusion: so, therefore",
}
"""The keys of `choosing`, all optional."""


class UnknownLanguage(UsageError, ValueError):
    """A language code for which there is no file."""


@dataclass(frozen=True)
class Language:
    """One language as its file describes it; `...` in a phrase stands for any words of one sentence."""

    code: str
    """BCP 47; the name of the file."""
    name: str
    """In English."""
    native_name: str
    """In the language itself."""
    script: str
    """ISO 15924."""
    iso639_3: str
    """ISO 639-3."""
    direction: str
    """Of writing."""
    identified_as: list[str]
    """The labels of py3langid that count as this language."""
    words: dict[str, str]
    """The words that head a question and its answer in tasks with choices."""
    choose: str
    """The sentence that asks for a choice by its letter."""
    refusal: list[str]
    """Phrases that refusing answers open with."""
    native_speaker_checks: list[dict[str, Any]]
    """Who has read the file, when, and what of it."""
    deflection: list[str] = field(default_factory=list)
    """Phrases that condemn the act or send the user elsewhere."""
    idiom: list[str] = field(default_factory=list)
    """Phrases that contain one of these and decline nothing."""
    choice_letters: list[str] = field(default_factory=list)
    """Letters of its own for A, B, C and D, where writers use any; those four count in every language."""
    choosing: dict[str, list[str]] = field(default_factory=dict)
    """Words around a chosen letter; those of English count everywhere. CHOOSING says what each key holds."""
    number: dict[str, str] = field(default_factory=lambda: {"decimal": ".", "group": ","})
    """How numbers are written: the sign before decimals and the one between groups of three digits."""
    codes: dict[str, str] = field(default_factory=dict)
    """What data sets call it: a column or a folder where that is not `code`, and its task in lm-eval's families."""

    def called(self, dataset: str | None) -> str:
        """The name of this language in a data set's columns, folders or files."""
        return self.codes.get(dataset or "", self.code)


_IS_OPTIONAL = {
    field.name: field.default is not MISSING or field.default_factory is not MISSING for field in fields(Language)
}
OPTIONAL = {name for name, optional in _IS_OPTIONAL.items() if optional}
"""Keys that a language file may leave out."""
REQUIRED = set(_IS_OPTIONAL) - OPTIONAL - {"code"}


@cache
def known() -> list[str]:
    """The codes of all languages, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if is_name(path.stem))


@cache
def get(code: str) -> Language:
    """The language with this code. Raises UnknownLanguage, or UsageError for a file with a wrong key."""
    if code not in known():
        raise UnknownLanguage(
            f"unknown language '{code}'; {_nearest(code)}; to add a language: mlc-bench languages new CODE"
        )
    path = FOLDER / f"{code}.yaml"
    values, text = _load(path)
    with safe_yaml.naming_lines(path, text):
        return Language(code=code, **_checked(values, path))


def _nearest(code: str) -> str:
    # People write 'swahili' or 'zh-CN' where a code is wanted, so names and native names are offered too.
    codes = {alias.casefold(): known_code for known_code in known() for alias in _aliases(known_code)}
    near = difflib.get_close_matches(code.casefold().replace("_", "-"), codes, n=3, cutoff=0.5)
    if not near:
        return f"known: {', '.join(known())}"
    return f"did you mean {' or '.join(dict.fromkeys(codes[alias] for alias in near))}?"


def _aliases(code: str) -> list[str]:
    language = get(code)
    return [code, language.name, language.native_name, language.iso639_3]


def _load(path: Path) -> tuple[Any, str]:
    import yaml

    try:
        text = bounded.read_text(path)
        return safe_yaml.load(text), text
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise safe_yaml.malformed(path, error) from None


def _checked(values: Any, path: Path) -> dict[str, Any]:
    """The file's values, or a UsageError that names the file and its first wrong key."""
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a mapping of keys to values is expected")
    if extra := sorted(str(key) for key in set(values) - REQUIRED - OPTIONAL):
        raise UsageError(f"{path}: unknown key '{extra[0]}'; known: {', '.join(sorted(REQUIRED | OPTIONAL))}")
    if missing := sorted(REQUIRED - set(values)):
        raise UsageError(f"{path}: missing key '{missing[0]}'")
    for key, (right, expected) in EXPECTED.items():
        if key in values and not right(values[key]):
            raise UsageError(f"{path}: '{key}' must be {expected}")
    return values


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_text(item) for item in value)


def _are_words(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"question", "answer"}:
        return False
    return all(map(_is_text, value.values()))


def _are_letters(value: Any) -> bool:
    return _are_texts(value) and len(set(value)) == 4


def _is_choosing(value: Any) -> bool:
    return isinstance(value, dict) and set(value) <= set(CHOOSING) and all(map(_are_texts, value.values()))


def _is_number(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"decimal", "group"}:
        return False
    return all(isinstance(sign, str) and len(sign) == 1 for sign in value.values()) and len(set(value.values())) == 2


def _are_codes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, [*value, *value.values()]))


def _are_checks(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


# For each key: whether a value is right, and what is expected, for people.
EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "text"),
    "native_name": (_is_text, "text"),
    "script": (lambda value: _is_text(value) and len(value) == 4, "an ISO 15924 code such as Latn"),
    "iso639_3": (lambda value: _is_text(value) and len(value) == 3, "an ISO 639-3 code such as eng"),
    "direction": (lambda value: value in ("ltr", "rtl"), "ltr or rtl"),
    "identified_as": (
        lambda value: value == [] or _are_texts(value),
        "a list of texts; [] where py3langid does not know the language",
    ),
    "words": (_are_words, "{question: ..., answer: ...}, both text"),
    "choose": (_is_text, "text"),
    "choice_letters": (_are_letters, "four different letters, for A, B, C and D"),
    "choosing": (_is_choosing, f"a mapping to lists of texts; its keys: {', '.join(CHOOSING)}"),
    "number": (_is_number, '{decimal: ".", group: ","}, two different signs'),
    "codes": (_are_codes, "a mapping from names of data sets to what they call the language, all text"),
    "refusal": (_are_texts, "a list of texts, at least one"),
    "deflection": (_are_texts, "a list of texts, at least one"),
    "idiom": (_are_texts, "a list of texts, at least one"),
    "native_speaker_checks": (_are_checks, "a list of {who, date, what}; [] where nobody has checked"),
}
