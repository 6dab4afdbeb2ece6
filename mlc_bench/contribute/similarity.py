"""How near two texts are, in any script: the same, the same but for spelling, or nearly the same."""

import re
import unicodedata
from functools import lru_cache
from typing import Any

NEAR = 0.6  # one word of twelve replaced gives 0.69, two far from each other 0.47
PERMUTATIONS = 128
_SHORTEST = 8  # normalised characters; shorter texts ("yes") say nothing about overlap
# Scripts without spaces between words, and Korean, where writers differ in where they put them.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]"
)
# Marks that writers leave out: accents and tones, Hebrew and Arabic vowel signs; and the stroke that stretches a word.
_MARKS = re.compile(
    "[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
)
# Letters of the Arabic script that keyboards and writers swap.
_ARABIC = str.maketrans(
    dict.fromkeys("ٱأإآ", "ا")
    | dict.fromkeys("ىیےئ", "ي")
    | dict.fromkeys("ةۀۃھہە", "ه")
    | {"ؤ": "و"}
    | dict.fromkeys("کڪ", "ك")
)


@lru_cache(maxsize=1 << 16)
def normalise(text: str) -> str:
    """Letters, marks and digits of a text in one spelling, its words parted by one space.

    Without case, width, accents, vowel signs of Arabic and Hebrew, invisible characters and punctuation; letters of the
    Arabic script that stand for each other are one, and digits of any script are 0 to 9.
    """
    while (simpler := _simpler(text)) != text:
        text = simpler
    return text


def _simpler(text: str) -> str:
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = unicodedata.normalize("NFKC", _MARKS.sub("", folded)).translate(_ARABIC)
    return " ".join("".join(map(_character, plain)).split())


@lru_cache(maxsize=1 << 14)
def _character(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    if kind == "Cf":  # joiners, marks of direction
        return ""
    return char if kind[0] in "LMN" else " "


def is_spaced(normalised: str) -> bool:
    """Whether most of a text's characters are of a script with spaces between words."""
    return 2 * len(_UNSPACED.findall(normalised)) <= len(normalised.replace(" ", ""))


def shingles(normalised: str) -> frozenset[str]:
    """Pairs of neighbouring words, or runs of three characters; the whole text where it has fewer."""
    spaced = is_spaced(normalised)
    parts: Any = normalised.split() if spaced else normalised.replace(" ", "")
    size = 2 if spaced else 3
    if len(parts) <= size:
        return frozenset([normalised.replace(" ", "")])
    joint = " " if spaced else ""
    return frozenset(joint.join(parts[start : start + size]) for start in range(len(parts) - size + 1))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared shingles over all shingles of two texts."""
    return len(one & other) / len(one | other)


class Index:
    """Texts of any languages, for looking up others."""

    def __init__(self, texts: list[str]) -> None:
        self._exact = {text.strip() for text in texts}
        self._keys: set[str] = set()
        self._shingles: list[frozenset[str]] = []
        self._known: set[str] = set()
        self._search: Any = None
        normalised = list(dict.fromkeys(map(normalise, self._exact)))
        self._keys = {_key(text) for text in normalised if text}
        if long_enough := [text for text in normalised if len(text) >= _SHORTEST]:
            self._build(long_enough)

    def _build(self, normalised: list[str]) -> None:
        from datasketch import MinHash, MinHashLSH

        self._shingles = [shingles(text) for text in normalised]
        self._known = set().union(*self._shingles)
        self._search = MinHashLSH(threshold=NEAR - 0.1, num_perm=PERMUTATIONS)  # a margin: hashes only estimate
        encoded = [[shingle.encode() for shingle in one] for one in self._shingles]
        with self._search.insertion_session() as session:
            for number, hashes in enumerate(MinHash.generator(encoded, num_perm=PERMUTATIONS)):
                session.insert(number, hashes)

    def kind(self, text: str) -> str | None:
        """exact, normalised, near, or None where no text of the index is close to this one."""
        if text.strip() in self._exact:
            return "exact"
        normalised = normalise(text)
        if _key(normalised) in self._keys:
            return "normalised"
        if self._search is None or len(normalised) < _SHORTEST:
            return None
        from datasketch import MinHash

        mine = shingles(normalised)
        if len(mine & self._known) < NEAR * len(mine):  # not even all texts together have enough of its shingles
            return None
        hashes = MinHash(num_perm=PERMUTATIONS)
        hashes.update_batch([shingle.encode() for shingle in mine])
        close = any(jaccard(mine, self._shingles[number]) >= NEAR for number in self._search.query(hashes))
        return "near" if close else None


def _key(normalised: str) -> str:
    """What is equal for texts that differ in where words are parted."""
    return normalised.replace(" ", "")
