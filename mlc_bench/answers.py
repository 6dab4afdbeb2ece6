"""What a free answer settles on: its last number, or the letter of a choice. Pure; knows the language files only."""

import re
import unicodedata
from decimal import Decimal

from mlc_bench import languages

LETTERS = "ABCD"
_SPACES = "\u00a0\u2009\u202f"  # that writers put between groups of digits, and nowhere else
_REACH = 40  # characters from the word for an answer to its letter: "The correct answer is therefore (B)"
# Letters of scripts whose vowel signs Python's \w leaves out.
_WORD = r"[\w\u0900-\u0dff\u0e00-\u0e7f]"


def last_number(text: str, language: str) -> Decimal | None:
    """The last number of a text, in the digits of any script, its signs read as the language writes numbers.

    A sign that the language does not use counts as in English, as models often write: `18.5` in Swahili and Russian.
    """
    signs = languages.get(language).number
    groups = {signs["group"], *_SPACES} | ({","} if signs["decimal"] not in ".," else set())
    decimals = {signs["decimal"], "."} - groups
    grouped = rf"\d{{1,3}}(?:[{re.escape(''.join(groups))}]\d{{3}})+(?!\d)"
    number = rf"((?<![\w)])[-\u2212])?({grouped}|\d+)(?:[{re.escape(''.join(decimals))}](\d+))?"
    digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)
    found = re.findall(number, digits)
    if not found:
        return None
    sign, whole, fraction = found[-1]
    return Decimal(f"{'-' if sign else ''}{re.sub(r'[^0-9]', '', whole)}.{fraction or 0}")


def chosen_letter(text: str, language: str) -> str | None:
    """A, B, C or D, in whatever letters the language has for them; None for an answer that does not settle on one.

    In this order: an answer that opens with a letter; the last letter named as the answer; the last one in brackets,
    bold or a box; the only one that stands alone.
    """
    spoken = languages.get(language)
    letters = dict(zip(spoken.choice_letters, LETTERS, strict=False)) | {letter: letter for letter in LETTERS}
    answer = unicodedata.normalize("NFKC", text).strip()
    one = _one_of(letters)
    lines = re.findall(rf"(?m)^\W*{one}[.):]", answer)
    if len(set(lines)) < 3 and (opens := re.match(rf"[\s*_#\"'(\[]*{one}\s*(?:$|[.):,\]*\n、。：])", answer)):
        return letters[opens[1]]
    names = "|".join(re.escape(word) for word in (spoken.words["answer"], "Answer"))
    for pattern in (
        rf"(?i:{names})[^\n.।。۔]{{0,{_REACH}}}?{one}",
        rf"\\boxed\{{\s*{one}\s*\}}|\*\*\W*{one}[.):]?\W*\*\*|\(\s*{one}\s*\)",
    ):
        if named := list(re.finditer(pattern, answer)):
            return letters[next(filter(None, named[-1].groups()))]
    article = re.compile(r"A\s+[a-z]")  # as in "A dog"
    alone = {letters[match[1]] for match in re.finditer(one, answer) if not article.match(answer, match.start())}
    return alone.pop() if len(alone) == 1 else None


def _one_of(letters: dict[str, str]) -> str:
    """A group for one of the letters, standing alone. Latin ones may touch another script: 答案是B。"""
    latin = "".join(letter for letter in letters if letter in LETTERS)
    own = "|".join(sorted((re.escape(letter) for letter in letters if letter not in LETTERS), key=len, reverse=True))
    group = rf"(?<![A-Za-z0-9])[{latin}](?![A-Za-z0-9'’]|-[a-z])"
    return rf"({group}|(?<!{_WORD})(?:{own})(?!{_WORD}))" if own else rf"({group})"
