"""The languages of the project: one file `<code>.yaml` beside this one each, and no other list anywhere."""

import difflib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from mlc_bench.errors import UsageError

FOLDER = Path(__file__).resolve().parent


class UnknownLanguage(UsageError, ValueError):
    """A language code for which there is no file."""


@dataclass(frozen=True)
class Language:
    """One language as its file describes it.

    `refusal` holds phrases that refusing answers open with; `deflection`, phrases that condemn the act or send the
    user elsewhere; `idiom`, phrases that sound like one of these and decline nothing. `...` stands for any words of one
    sentence.
    """

    code: str
    name: str
    native_name: str
    script: str
    iso639_3: str
    direction: str
    identified_as: list[str]
    words: dict[str, str]
    refusal: list[str]
    native_speaker_checks: list[dict[str, Any]]
    deflection: list[str] = field(default_factory=list)
    idiom: list[str] = field(default_factory=list)


@cache
def known() -> list[str]:
    """The codes of all languages, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def get(code: str) -> Language:
    """The language with this code. Raises UnknownLanguage, or UsageError for a file with a wrong key."""
    if code not in known():
        raise UnknownLanguage(
            f"unknown language '{code}'; {_nearest(code)}; to add a language, write mlc_bench/languages/<code>.yaml"
        )
    path = FOLDER / f"{code}.yaml"
    return Language(code=code, **_checked(_load(path), path))


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


def _load(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML in UTF-8: {' '.join(str(error).split())}") from None


def _checked(values: Any, path: Path) -> dict[str, Any]:
    """The file's values, or a UsageError that names the file and its first wrong key."""
    if not isinstance(values, dict):
        raise UsageError(f"{path}: a mapping of keys to values is expected")
    keys = [key for key in fields(Language) if key.name != "code"]  # which is the file's name
    wanted = {key.name for key in keys}
    if missing := sorted({key.name for key in keys if key.default_factory is MISSING} - set(values)):
        raise UsageError(f"{path}: missing key '{missing[0]}'")
    if extra := sorted(str(key) for key in set(values) - wanted):
        raise UsageError(f"{path}: unknown key '{extra[0]}'; known: {', '.join(sorted(wanted))}")
    for key, (right, expected) in _EXPECTED.items():
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


def _are_checks(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


_EXPECTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (_is_text, "text"),
    "native_name": (_is_text, "text"),
    "script": (lambda value: _is_text(value) and len(value) == 4, "an ISO 15924 code such as Latn"),
    "iso639_3": (lambda value: _is_text(value) and len(value) == 3, "an ISO 639-3 code such as eng"),
    "direction": (lambda value: value in ("ltr", "rtl"), "ltr or rtl"),
    "identified_as": (_are_texts, "a list of texts, at least one"),
    "words": (_are_words, "{question: ..., answer: ...}, both text"),
    "refusal": (_are_texts, "a list of texts, at least one"),
    "deflection": (_are_texts, "a list of texts, at least one"),
    "idiom": (_are_texts, "a list of texts, at least one"),
    "native_speaker_checks": (_are_checks, "a list of {who, date, what}; [] where nobody has checked"),
}
