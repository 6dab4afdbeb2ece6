"""Answers that are none: noise, loops, a mixture of scripts, the prompt again."""

import difflib
import re
import unicodedata
from collections import Counter
from functools import lru_cache

LONGEST_PERIOD = 60  # characters of a phrase that an answer repeats to its end
SHORTEST_ECHO = 8  # characters; an answer may well begin with a shorter prompt's words
SCRIPT_CHARACTERS = 300  # read to tell scripts


def is_noise(answer: str, text: str) -> bool:
    """Hardly a letter or digit, or bytes that did not decode (a cut answer may end in one or two of them)."""
    counts = Counter(text)
    visible = sum(count for character, count in counts.items() if not character.isspace())
    words = sum(count for character, count in counts.items() if unicodedata.category(character)[0] in "LMN")
    return words < 0.3 * visible or not words or answer.count("\ufffd") > max(2, 0.03 * len(answer))


def is_loop(text: str) -> bool:
    """One word or phrase over and over from the start, four times or more, bar a few words at either end."""
    window = text[:600]
    body = window[len(window) // 10 : len(window) - len(window) // 10]
    periods = range(1, len(body) // 4 + 1)
    if len(window) >= 20 and any(body.startswith(body[period:]) for period in periods):
        return True
    pieces = [window[index : index + 6] for index in range(len(window) - 5)]
    if len(pieces) >= 40 and len(set(pieces)) < 0.4 * len(pieces):  # fluent text has hardly any piece twice
        return True
    return any(_repeating_tail(text, period) >= max(24, 0.6 * len(text)) for period in range(1, LONGEST_PERIOD))


def _repeating_tail(text: str, period: int) -> int:
    """Length of the end of a text that repeats with a period, four times or more; else 0."""
    if not text.endswith(text[-2 * period : -period]):
        return 0
    start = len(text) - period
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return len(text) - start if len(text) - start >= 4 * period else 0


@lru_cache(maxsize=100_000)
def _script(character: str) -> str | None:
    if not character.isalpha():
        return None
    name = unicodedata.name(character, "").split(" ")[0]
    return "CJK" if name in ("HIRAGANA", "KATAKANA") else name


def mixes_scripts(text: str) -> bool:
    """Four scripts or more, each with a share that is more than a name or a term."""
    counts = Counter(script for script in map(_script, text[:SCRIPT_CHARACTERS]) if script)
    return sum(count >= 0.05 * counts.total() for count in counts.values()) >= 4


def only_repeats(asked: str, text: str) -> bool:
    """Whether the text, bar punctuation, is the prompt, a large part of it, or copies of it."""
    prompt, response = re.sub(r"[\W_]+", "", asked), re.sub(r"[\W_]+", "", text)
    if len(prompt) < SHORTEST_ECHO:
        return False
    if response in prompt:
        return len(response) >= 0.6 * len(prompt)
    return prompt in response and len(response.replace(prompt, "")) <= 0.1 * len(prompt)


def mostly_repeats(asked: str, text: str) -> bool:
    """Whether an answer no longer than the prompt is the prompt again, bar a few changed characters."""
    prompt, response = re.sub(r"[\W_]+", "", asked), re.sub(r"[\W_]+", "", text)
    if len(response) < SHORTEST_ECHO or len(response) > 1.2 * len(prompt):
        return False
    blocks = difflib.SequenceMatcher(None, prompt, response, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks if block.size >= 4) >= 0.8 * len(response)


def word_count(text: str) -> int:
    """Words, where two characters of a script without spaces count as one."""
    count = 0
    for word in text.split():
        unspaced = len(word) > 30 or _script(word[0]) in ("CJK", "THAI")
        count += len(word) // 2 if unspaced else 1
    return count
