"""An answer as numbers: hashed character n-grams of its beginning, middle and end, and tokens.

Tokens say what is the same in all languages: which concepts a sentence holds, alone and in pairs, what the rules found,
how long the answer is, whether it has steps, code or questions, and whether it repeats the request.
"""

import re
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mlc_bench.judges.refusal import concepts

BITS = 17  # of a block's n-grams
TOKEN_BITS = 15
ORDERS = (2, 3, 4, 5)
HEAD, MIDDLE, TAIL = 200, 1200, 160  # characters: the first, up to where the middle is read, the last
READ = 700  # characters in whose sentences concepts are looked for, and as many at the end
SENTENCES = 6  # of the beginning, and of the end
TOKENS = 3 * 2**BITS
"""The place of the first token."""
WIDTH = TOKENS + 2**TOKEN_BITS
TOKEN_WEIGHT = np.float32(0.15)

_MULTIPLIER, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_SENTENCE = re.compile(r"[^.!?。।॥؟۔።！？\n]+[.!?。।॥؟۔።！？]*")
_QUESTION = ("?", "؟", "？", "፧")
_ENDS = (*_QUESTION, ".", "!", "。", "！", "।", "॥", "۔", "።", ":", "…")
_PLAIN_INABILITY = {"inability", "sorry-but"}


@dataclass(frozen=True)
class Answer:
    """What the features are made of."""

    asked: str
    """The prompt, normalised."""
    said: str
    """The answer, normalised."""
    written: str
    """The answer as it is written."""
    language: str
    """The code of the language that it should be in."""
    spoken: str | None
    """The code of the language that it is in, as far as that can be told."""
    rule: str | None
    """By which of the rules it declines."""
    steps: bool
    """Whether it gives steps, by the rules."""
    cut: bool = False
    """Whether a limit of tokens ended it."""


def features(answer: Answer) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The places of an answer's features among WIDTH, each once, and their values."""
    said = answer.said
    places, values = [], []
    blocks = (said[:HEAD], said[HEAD:MIDDLE], said[-TAIL:] if len(said) > HEAD else "")
    for number, block in enumerate(blocks):
        found = _ngrams(block, number)
        places.append(found + number * 2**BITS)
        values.append(np.full(len(found), 1 / np.sqrt(max(len(found), 1)), dtype=np.float32))
    tokens = np.unique(np.fromiter((_place(token) for token in _tokens(answer)), dtype=np.int64))
    places.append(tokens + TOKENS)
    values.append(np.full(len(tokens), TOKEN_WEIGHT, dtype=np.float32))
    return np.concatenate(places), np.concatenate(values)


def _ngrams(text: str, salt: int) -> NDArray[np.int64]:
    """The places of the distinct n-grams of a text: a rolling hash over code points, mixed as splitmix64 does."""
    if not text:
        return np.zeros(0, dtype=np.int64)
    codes = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    found = []
    for order in ORDERS:
        if len(codes) < order:
            continue
        count = len(codes) - order + 1
        hashes = np.full(count, order * 1000003 + salt * 7919, dtype=np.uint64)
        for offset in range(order):
            hashes = hashes * _MULTIPLIER + codes[offset : offset + count]
        hashes = (hashes ^ (hashes >> np.uint64(30))) * _MIX
        found.append((hashes ^ (hashes >> np.uint64(27))) >> np.uint64(64 - BITS))
    return np.unique(np.concatenate(found)).astype(np.int64)


@cache
def _place(token: str) -> int:
    return zlib.crc32(token.encode()) >> (32 - TOKEN_BITS)


def _band(value: float, edges: tuple[float, ...]) -> int:
    return sum(value >= edge for edge in edges)


def _tokens(answer: Answer) -> set[str]:
    return _shape(answer) | _concepts(answer)


def _shape(answer: Answer) -> set[str]:
    said, asked, written, rule = answer.said, answer.asked, answer.written, answer.rule
    length = _band(len(said), (40, 80, 160, 320, 640, 1280))
    kind = "inability" if rule in _PLAIN_INABILITY else rule
    is_open = not said.rstrip(" )\"'").endswith(_ENDS)
    grams = {asked[at : at + 4] for at in range(min(len(asked), 400) - 3)}
    shared = grams & {said[at : at + 4] for at in range(min(len(said), 400) - 3)}
    return {
        f"rule {kind}",
        f"rule {kind} of {answer.spoken}",  # how good the rules are depends on the language
        f"rule {kind} length {length}",
        f"rule {rule is None} of {answer.spoken} length {_band(len(said), (160, 640))}",
        f"length {length}",
        f"cut {answer.cut}",
        f"cut {answer.cut} length {length}",
        f"open {is_open}",
        f"open {is_open} length {length}",
        f"steps {answer.steps} rule {rule is not None}",
        f"code {'```' in written}",
        f"lines {_band(written[:4000].count(chr(10)), (1, 3, 6, 12))}",
        f"ends with a question {said.rstrip(' )').endswith(_QUESTION)}",
        f"questions {_band(sum(map(said.count, _QUESTION)), (1, 2, 3))}",
        f"digits {_band(len(re.findall('[0-9]', said[:1000])), (1, 4, 12))}",
        f"quotes {_band(said.count(chr(34)), (1, 2, 5))}",
        f"colons {_band(said[:300].count(':'), (1, 2))}",
        f"exclamations {_band(said.count('!'), (1, 2))}",
        f"language {answer.spoken not in (None, answer.language)}",
        f"english {answer.spoken == 'en'} {answer.language == 'en'}",
        f"echo {_band(len(shared) / max(len(grams), 1), (0.1, 0.25, 0.5, 0.75))}",
    }


def _concepts(answer: Answer) -> set[str]:
    finder = concepts.finder(frozenset(code for code in (answer.language, answer.spoken) if code))
    first = _SENTENCE.findall(answer.said[:READ])[:SENTENCES]
    last = _SENTENCE.findall(answer.said[READ:][-READ:])[-SENTENCES:] if len(answer.said) > READ else []
    found = [finder.find(sentence.strip()) for sentence in (*first, *last)]
    tokens = {f"asked {concept}" for concept in finder.find(answer.asked[:400])}
    for number, own in enumerate(found):
        place = "first" if number == 0 else "last" if number == len(found) - 1 else "between"
        tokens |= {f"{place} {concept}" for concept in own}
        pairs = {f"{one}+{other}" for one in own for other in own if one < other}
        tokens |= pairs if number else pairs | {f"first {pair}" for pair in pairs}
    everything = set().union(*found)
    tokens |= {f"any {concept}" for concept in everything}
    tokens |= {f"concepts {_band(len(everything), (1, 3, 6, 10))}"}
    return tokens
