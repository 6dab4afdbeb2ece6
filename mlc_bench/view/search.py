"""The words of a text, for SQLite's full-text search, in scripts with spaces and without.

SQLite's own trigrams cannot find a word of two characters, as most of Chinese are. Here each sign of a text that is
written without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese, ...) is a word, and a search for several is one
for these words in a row: exactly what `in` finds. In other scripts words are found by their beginnings, Arabic ones
without their article, too. Capitals are equal to small letters; accents and vowel signs count. benchmarks/view.py
compares it with pairs and with trigrams.
"""

import re
import unicodedata
from functools import cache

import regex

TOKENIZER = "unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'"
"""Vowel signs of Indian scripts belong to their words; SQLite takes them for separators otherwise."""

# Unicode's line-breaking class SA: scripts of South-East Asia that need a dictionary to find words.
_UNSPACED = regex.compile(r"[\p{lb=SA}\p{Han}\p{Hiragana}\p{Katakana}]+")
_NEAR = re.compile("[\u0e00-\u1dff\u2e80-\uabff\uf900-\U0010ffff]")
"""All of these signs and some others: a text without them is looked at ten times as fast."""
_AL, _LIL = "\u0627\u0644", "\u0644\u0644"
_ARTICLE = re.compile(f"\\b[\u0648\u0641]?(?:[\u0628\u0643]?{_AL}|{_LIL})(\\w{{2,}})")
"""Arabic's article is a part of the word (al-, lil-), as are "and", "so", "in" and "as" before it (wa, fa, bi, ka)."""
_HAS_WORD = regex.compile(r"[\p{L}\p{N}\p{Co}\p{M}]")
_LAST = 0x40000  # no script begins behind it


@cache
def _runs() -> "re.Pattern[str]":
    """Signs without spaces, as ranges for `re`, which is faster on them than `regex`."""
    everything = "".join(chr(number) for number in range(0x80, _LAST) if not 0xD800 <= number < 0xE000)
    ranges = (f"{found[0][0]}-{found[0][-1]}" for found in _UNSPACED.finditer(everything))
    return re.compile(f"[{''.join(ranges)}]+")


def indexed(text: str) -> str:
    """A text as it goes into the index."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    if _AL in text or _LIL in text:
        text = " ".join([text, *_ARTICLE.findall(text)])
    return _runs().sub(_apart, text) if _NEAR.search(text) else text


def _apart(found: "re.Match[str]") -> str:
    return f" {' '.join(found[0])} "


def query(text: str) -> str | None:
    """FTS5's query for texts that hold every word of `text`; None where it has no word."""
    parts = []
    for word in unicodedata.normalize("NFC", text.replace("\0", " ")).split():
        end = 0
        for run in _runs().finditer(word):
            parts += [_beginning(word[end : run.start()]), f'"{" ".join(run[0])}"']
            end = run.end()
        parts.append(_beginning(word[end:]))
    return " AND ".join(filter(None, parts)) or None


def _beginning(word: str) -> str | None:
    return '"' + word.replace('"', '""') + '" *' if _HAS_WORD.search(word) else None
