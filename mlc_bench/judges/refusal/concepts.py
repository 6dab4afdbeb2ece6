"""Which concepts a sentence holds, by the word lists of its language: words/<tag>.yaml, one list a concept.

A string begins at the start of a word and may end inside it, so that one stem finds all its forms. `*` in front: it may
begin anywhere, as it may in scripts without spaces. `$` behind: it ends where a word ends. `...`: up to 60 characters.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlc_bench.core import safe_yaml
from mlc_bench.core.spec import digest
from mlc_bench.judges.text import normalise

FOLDER = Path(__file__).resolve().parent / "words"
GAP = 60
KEY = 4  # characters by which a string is looked up; all of it where it has fewer
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # where words touch, or particles do
_SIGNS = ((0x0900, 0x0963), (0x0966, 0x0DFF))
_WORD = re.compile(r"(?:[^\W_]|['\u0900-\u0963\u0966-\u0dff])+")  # as _in_word says


@dataclass(frozen=True)
class _Entry:
    parts: tuple[str, ...]
    concept: str
    ends: bool


class _Table:
    """Entries by the first KEY characters of their first part."""

    def __init__(self) -> None:
        self.entries: dict[str, list[_Entry]] = defaultdict(list)
        self.lengths: tuple[int, ...] = ()
        self._begins: re.Pattern[str] | None = None

    def add(self, entry: _Entry) -> None:
        key = entry.parts[0][:KEY]
        self.entries[key].append(entry)
        self.lengths = tuple(sorted({*self.lengths, len(key)}))
        self._begins = None

    def positions(self, sentence: str) -> Iterable[int]:
        """Where a character stands with which an entry begins."""
        if not self.entries:
            return ()
        if self._begins is None:
            self._begins = re.compile("[" + re.escape("".join(sorted({key[0] for key in self.entries}))) + "]")
        return (found.start() for found in self._begins.finditer(sentence))

    def look(self, sentence: str, positions: Iterable[int], found: set[str]) -> None:
        """Add the concepts of the entries that are at these positions."""
        entries, lengths = self.entries, self.lengths
        for position in positions:
            for length in lengths:
                own = entries.get(sentence[position : position + length])
                for entry in own or ():
                    if entry.concept not in found and _matches(entry, sentence, position):
                        found.add(entry.concept)


@cache
def tags() -> tuple[str, ...]:
    """The tags that have a word list."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def _of(language: str) -> tuple[str, ...]:
    """The lists that are read for a language: that of its code, and of its other scripts."""
    return tuple(tag for tag in tags() if tag == language or tag.partition("-")[0] == language)


@cache
def lists(tag: str) -> dict[str, list[str]]:
    """The strings of each concept, as the file of a tag has them."""
    found: dict[str, list[str]] = safe_yaml.load((FOLDER / f"{tag}.yaml").read_text(encoding="utf-8"))
    return found


class Finder:
    """Finds the concepts of a set of languages."""

    def __init__(self, languages: frozenset[str]) -> None:
        # Entries that begin anywhere, where a word begins, and with a mark, such as a bracket, outside of words.
        self._anywhere, self._starts, self._marks = _Table(), _Table(), _Table()
        for tag in sorted({tag for language in languages for tag in _of(language)}):
            for concept, strings in lists(tag).items():
                for string in strings:
                    self._add(string, concept)

    def _add(self, string: str, concept: str) -> None:
        unspaced = _UNSPACED.match(string.lstrip("*")) is not None
        anywhere, ends = unspaced or string.startswith("*"), string.endswith("$")
        parts = tuple(normalise(part) for part in string.strip("*$").split("..."))
        parts = tuple(part for part in parts if part)
        if not parts:
            return
        entry = _Entry(parts, concept, ends and not unspaced)
        if anywhere:
            self._anywhere.add(entry)
        else:
            (self._starts if _in_word(parts[0][0]) else self._marks).add(entry)

    def find(self, sentence: str) -> set[str]:
        """The concepts of one normalised sentence."""
        found: set[str] = set()
        self._anywhere.look(sentence, self._anywhere.positions(sentence), found)
        self._starts.look(sentence, _word_starts(sentence), found)
        if self._marks.entries:
            self._marks.look(sentence, _outside_words(sentence), found)
        return found


def _word_starts(sentence: str) -> Iterator[int]:
    """Where words begin. Arabic writes "and" and "so" onto the next word."""
    for word in _WORD.finditer(sentence):
        start = word.start()
        yield start
        while start + 1 < word.end() and sentence[start] in "وف":
            start += 1
            yield start


def _outside_words(sentence: str) -> list[int]:
    """Where characters stand that are in no word and not right behind one."""
    outside = [not _in_word(character) for character in sentence]
    return [at for at in range(len(sentence)) if outside[at] and (at == 0 or outside[at - 1])]


def _matches(entry: _Entry, sentence: str, position: int) -> bool:
    for number, part in enumerate(entry.parts):
        at = position if number == 0 else sentence.find(part, position, position + GAP + len(part))
        if at < 0 or not sentence.startswith(part, at):
            return False
        position = at + len(part)
    return not (entry.ends and position < len(sentence) and _in_word(sentence[position]))


@cache
def _in_word(character: str) -> bool:
    """Whether a character is inside a word; Python does not count the vowel signs of Indic scripts."""
    code = ord(character)
    return character.isalnum() or character == "'" or any(low <= code <= high for low, high in _SIGNS)


@cache
def finder(languages: frozenset[str]) -> Finder:
    """The finder of these languages, made once."""
    return Finder(languages)


@cache
def fingerprint() -> str:
    """sha256 over all word lists."""
    return digest({tag: lists(tag) for tag in tags()})
