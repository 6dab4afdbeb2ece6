"""The letter of a choice that a free answer settles on. Pure; knows the language files only.

Every letter that stands alone is a mention. A mention is ruled out ("not A", "A is wrong"), undecided ("between A and
B"), one of the options restated ("A) ... B) ... C) ..."), or live. The choice is a live one.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from mlc_bench.catalog import languages

LETTERS = "ABCD"
REACH = 40  # characters from the word for an answer to its letter: "The correct answer is therefore (B)"
# Letters of scripts whose vowel signs Python's \w leaves out.
_WORD = r"[\w\u0900-\u0963\u0966-\u0dff\u0e00-\u0e7f]"  # without the danda, which ends a sentence
_UNSPACED = r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # where words touch, or particles do
_END = r"\n.!?।。۔؟"  # of a sentence, in a character class
_PAUSE = _END + r",;:،؛、()"
_MARKS = r"[\s\"'“”«»*_()\[\]]"
_TURN = re.compile(r"(?i)\b(?:but|sure|only|whether|because|since|as|while|which|that|it|this|so|ma|но|а)\b")


@dataclass(frozen=True)
class _Mention:
    start: int
    end: int
    letter: str


@dataclass(frozen=True)
class _Words:
    """Patterns of one language, with English, which models often answer in."""

    letters: dict[str, str]
    one: str
    answer: str
    right: str
    not_before: str
    not_after: str
    joins: re.Pattern[str]
    so: str
    article: re.Pattern[str]


def chosen_letter(text: str, language: str) -> str | None:
    """A, B, C or D, in whatever letters the language has for them; None for an answer that does not settle on one.

    In this order: an answer that opens with a letter; the last letter named as the answer; the last one in brackets,
    bold or a box; one that is called right; one that corrects another ("not B but C"); one that a conclusion or the
    last line has; the only one left.
    """
    words = _words(language)
    answer = unicodedata.normalize("NFKC", text).strip()
    mentions = [_Mention(m.start(), m.end(), words.letters[m[1]]) for m in re.finditer(words.one, answer)]
    out = _ruled_out(answer, mentions, words)
    restated = _restated(answer, mentions, out)
    undecided = _undecided(answer, mentions, out, words)
    last_denial = {mentions[i].letter: i for i in sorted(out)}
    live = {
        mention.start: mention.letter
        for i, mention in enumerate(mentions)
        if i not in out | restated | undecided and i > last_denial.get(mention.letter, -1)
    }
    opens = re.match(rf"[\s*_#\"'(\[]*{words.one}\s*(?:$|[.):,\]*\n、。：])", answer)
    if opens and (letter := live.get(opens.start(1))):
        return letter
    dead, barred = ({mentions[i].start for i in some} for some in (out, undecided))
    read = _Read(answer, mentions, live, dead, barred, words)
    for find in (_named, _marked, _called_right, _corrected, _concluded):
        if letter := find(read):
            return letter
    alone = {letter for start, letter in live.items() if not words.article.match(answer, start)}
    return alone.pop() if len(alone) == 1 else None


def denials(language: str) -> str:
    """A pattern for the words that rule out what is behind them."""
    return _words(language).not_before


def _ruled_out(answer: str, mentions: list[_Mention], words: _Words) -> set[int]:
    """The mentions that are denied: "not A", "A is wrong", and those listed with them."""
    before = re.compile(rf"(?:{words.not_before})([^{_PAUSE}]{{0,16}}){_MARKS}*$")
    after = re.compile(rf"{_MARKS}*[.:]?\s*((?:[^\s{_PAUSE}]+\s+){{0,2}}?)(?:{words.not_after})")
    out: set[int] = set()
    for i, mention in enumerate(mentions):
        start = mentions[i - 1].end if i else 0
        stop = mentions[i + 1].start if i + 1 < len(mentions) else len(answer)
        found = before.search(answer[max(start, mention.start - 40) : mention.start])
        if found and not _TURN.search(found[1]):
            out |= {i, *_listed(answer, mentions, i, words, 1)}
        found = after.match(answer[mention.end : min(stop, mention.end + 60)])
        if found and not _TURN.search(found[1]):
            is_single = re.match(r"(?i)(?:is|isn|does)\b", found[0].strip())  # "B and A is wrong" says it of A alone
            out |= {i, *(() if is_single else _listed(answer, mentions, i, words, -1))}
    return out


def _listed(answer: str, mentions: list[_Mention], i: int, words: _Words, step: int) -> list[int]:
    """The mentions of one list with the i-th, to its right or left: "A, B and C". Commas alone make no list."""
    found, sure = [], 0

    def goes_on(mention: _Mention) -> bool:  # "B, and C is too big" is no list
        return re.match(rf"{_MARKS}*[^{_PAUSE}\s]", answer[mention.end : mention.end + REACH]) is not None

    while 0 <= i + step < len(mentions):
        first, second = sorted((i, i + step))
        between = answer[mentions[first].end : mentions[second].start]
        is_join = words.joins.fullmatch(between) is not None
        if not is_join and not re.fullmatch(rf"{_MARKS}*[,،、]{_MARKS}*", between):
            break
        i += step
        found.append(i)
        has_comma = re.search("[,،、]", between)
        if is_join and not (has_comma and len(found) == 1 and step > 0 and goes_on(mentions[i])):
            sure = len(found)
    return found[:sure]


def _restated(answer: str, mentions: list[_Mention], out: set[int]) -> set[int]:
    """The options as the question has them: letters with a mark, in their order from A."""
    marked = [
        i
        for i, mention in enumerate(mentions)
        if i not in out and re.match(r"\**[.):]\s*\S", answer[mention.end : mention.end + 9])
    ]
    for at, first in enumerate(marked):
        run = [first]
        for i in marked[at + 1 :]:
            if mentions[i].letter != LETTERS[len(run) : len(run) + 1]:
                break
            run.append(i)
        if mentions[first].letter == "A" and len(run) > 1:
            return set(run)
    return set()


def _undecided(answer: str, mentions: list[_Mention], out: set[int], words: _Words) -> set[int]:
    """Mentions side by side of which none is chosen: "between A and B", "A, B or C"."""
    found: set[int] = set()
    i = 0
    while i < len(mentions) - 1:
        others = [i, *_listed(answer, mentions, i, words, 1)]
        i = max(i + 1, others[-1])
        if len(others) == 1 or out & set(others) or len({mentions[j].letter for j in others}) == 1:
            continue
        found |= set(others)
    return found


@dataclass(frozen=True)
class _Read:
    """An answer with its mentions: where those are that are live (with their letters), ruled out, undecided."""

    text: str
    mentions: list[_Mention]
    live: dict[int, str]
    dead: set[int]
    barred: set[int]
    words: _Words


def _named(read: _Read) -> str | None:
    """The letter behind or before the last word for an answer that has one."""
    for word in reversed(list(re.finditer(read.words.answer, read.text))):
        if letter := _subject(read, word):
            return letter
        at, denied = word.end(), False
        for mention in read.mentions:
            if mention.start < word.end():
                continue
            gap = read.text[at : mention.start]
            if len(gap) > REACH or "\n" in gap or (not denied and re.search("[.।。۔]", gap)):
                break
            if mention.start in read.live:
                return read.live[mention.start]
            if mention.start in read.barred:
                return None
            at, denied = mention.end, denied or mention.start in read.dead
    return None


def _subject(read: _Read, word: re.Match[str]) -> str | None:
    """The letter of which a clause says that it is the answer: "B is the correct answer because A is too small"."""
    mention = next((one for one in reversed(read.mentions) if one.end <= word.start()), None)
    if mention is None or mention.start not in read.live or re.match(r"\W{0,3}[:：]", read.text[word.end() :][:4]):
        return None
    before, gap = read.text[max(0, mention.start - REACH) : mention.start], read.text[mention.end : word.start()]
    begins = re.search(rf"(?:^|[{_PAUSE}])\W*(?:\w+\s+)?$", before)
    is_clause = gap.strip(" *)") and re.fullmatch(rf"\)?[^{_PAUSE}]{{1,24}}", gap)
    return read.live[mention.start] if begins and is_clause else None


def _marked(read: _Read) -> str | None:
    """The last letter in a box, bold or brackets."""
    one = read.words.one
    pattern = rf"\\boxed\{{\s*{one}\s*\}}|\*\*\W*{one}[.):]?\W*\*\*|\(\s*{one}\s*\)"
    for found in reversed(list(re.finditer(pattern, read.text))):
        place = next(found.start(group) for group in (1, 2, 3) if found[group])
        if place in read.live:
            return read.live[place]
    return None


def _called_right(read: _Read) -> str | None:
    """The only letter that is called right."""
    right = re.compile(rf"{_MARKS}*[^{_PAUSE}]{{0,12}}?(?:{read.words.right})")
    found = {
        read.live[m.start] for m in read.mentions if m.start in read.live and right.match(read.text[m.end : m.end + 60])
    }
    return found.pop() if len(found) == 1 else None


def _corrected(read: _Read) -> str | None:
    """The letter behind one that is ruled out, in the same sentence."""
    for first, second in reversed(list(pairwise(read.mentions))):
        if (
            first.start in read.dead
            and second.start in read.live
            and not re.search(f"[{_END}]", read.text[first.end : second.start])
        ):
            return read.live[second.start]
    return None


def _concluded(read: _Read) -> str | None:
    """The letter that is the last sentence, or stands behind the last word for a conclusion."""
    last = read.mentions[-1] if read.mentions else None
    is_sentence = last and re.search(rf"(?:^|[{_END}])\W*$", read.text[: last.start])
    if last and is_sentence and last.start in read.live and not read.text[last.end :].strip(" .!)]*。।\"'"):
        return last.letter
    for word in reversed(list(re.finditer(read.words.so, read.text))):
        for mention in read.mentions:
            gap = read.text[word.end() : mention.start] if mention.start >= word.end() else "\n"
            is_near = len(gap) <= REACH and not re.search(f"[{_END}]", gap)
            if is_near and mention.start in read.live and not read.words.article.match(read.text, mention.start):
                return read.live[mention.start]
    return None


@cache
def _words(code: str) -> _Words:
    spoken, english = languages.get(code), languages.get("en")
    letters = dict(zip(spoken.choice_letters, LETTERS, strict=False)) | {letter: letter for letter in LETTERS}

    def listed(key: str) -> list[str]:
        return [*spoken.choosing.get(key, []), *english.choosing.get(key, [])]

    names = [spoken.words["answer"], *spoken.choosing.get("answer", []), english.words["answer"]]
    verbs = ["is", "are", "was", "would", "can", "cannot", "does", "has", "seems", "because", "since", "but", "as"]
    follow = "|".join(re.escape(word.split()[0]) for key in ("not_after", "or", "right") for word in listed(key))
    joins = "|".join(_bounded(word) for word in listed("or"))
    return _Words(
        letters=letters,
        one=_one_of(letters),
        answer="(?i:" + "|".join(re.escape(unicodedata.normalize("NFKC", word)) for word in names) + ")",
        right=_any(listed("right")),
        not_before=_any(listed("not_before")),
        not_after=_any(listed("not_after")),
        joins=re.compile(rf"{_MARKS}*(?:[,،、]?\s*(?i:{joins})|/){_MARKS}*"),
        so=_any(listed("so")),
        article=re.compile(rf"A\s+(?!(?:{'|'.join(verbs)}|{follow})(?!\w))[a-z]"),  # as in "A dog"
    )


def _any(words: list[str]) -> str:
    """The words in any case, the longest first."""
    return "(?i:" + "|".join(_bounded(word) for word in sorted(words, key=len, reverse=True)) + ")"


def _bounded(word: str) -> str:
    """The word as one of its own, where its script has spaces between words."""
    word = unicodedata.normalize("NFKC", word)
    left = "" if re.match(_UNSPACED, word) or word.startswith("n't") else rf"(?<!{_WORD})"
    right = "" if re.match(_UNSPACED, word[-1]) else rf"(?!{_WORD})"
    return left + re.escape(word).replace("'", "['’]") + right


def _one_of(letters: dict[str, str]) -> str:
    """A group for one of the letters, standing alone. Latin ones may touch another script: 答案是B。"""
    latin = "".join(letter for letter in letters if letter in LETTERS)
    own = "|".join(sorted((re.escape(letter) for letter in letters if letter not in LETTERS), key=len, reverse=True))
    group = rf"(?<![A-Za-z0-9])[{latin}](?![A-Za-z0-9'’]|-[a-z])"
    return rf"({group}|(?<!{_WORD})(?:{own})(?!{_WORD}))" if own else rf"({group})"
