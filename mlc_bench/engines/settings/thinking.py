"""What a model said, parted into its thinking and its answer. Nothing of the thinking is judged as an answer."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlc_bench.engines.settings.marks import CHANNEL, NAME, Marks, closings

CUT = "cut-while-thinking"
"""Why there is no answer: the limit was reached within the thinking."""
ENDED = "ended-while-thinking"
"""Why there is no answer: the model stopped within its thinking."""

# Marks of models that cannot be looked at: behind a server, or in answers made elsewhere.
_ANY = re.compile(
    rf"(?P<close></(?:{NAME})>|(?-i:\[/(?:THINK|THINKING|REASONING)\])|◁/(?:{NAME})▷|<\|end_(?:of_)?(?:{NAME})\|>"
    rf"|<\|(?:{NAME})_end\|>|<\|/(?:{NAME})\|>|<channel\|>|<unused95>)"
    rf"|(?P<open><(?:{NAME})>|(?-i:\[(?:THINK|THINKING|REASONING)\])|◁(?:{NAME})▷|<\|(?:start|begin)_(?:of_)?(?:{NAME})\|>"
    rf"|<\|(?:{NAME})_(?:start|begin)\|>|<\|(?:{NAME})\|>|<\|channel>|<unused94>\s*thought)",
    re.IGNORECASE,
)
_SEGMENT = re.compile(r"(?:<\|start\|>\w*)?<\|channel\|>\s*(\w+)(.*?)<\|message\|>", re.DOTALL)
_SEGMENT_ENDS = re.compile(r"<\|(?:end|return|call|start)\|>")
# The same where decoding has left the special tokens out: `analysis` and `assistantfinal` are glued to what follows.
_BARE = re.compile(r"\s*analysis(?=[A-Z\"'\d])(.*?)(?:assistantfinal(.*))?\Z", re.DOTALL)
_QUOTES = "`'\"“”‘’«»"


@dataclass(frozen=True)
class Split:
    """An answer without thinking, and the thinking; None: there was none."""

    answer: str
    thinking: str | None = None
    unfinished: str | None = None
    """`cut-while-thinking` or `ended-while-thinking` where the thinking has no end, and so no answer follows."""


@dataclass(frozen=True)
class _Mark:
    start: int
    end: int
    closes: str
    is_open: bool


def split(text: str, marks: Marks, truncated: bool = False) -> Split:
    """Part what a model said. `truncated`: it stopped at the limit of tokens."""
    harmony = CHANNEL in text or (not marks.is_known and _BARE.match(text))
    if harmony and (not marks.is_known or any(closing == CHANNEL for _, closing in marks.pairs)):
        return _channels(text, marks, truncated)
    if marks.opened == CHANNEL:
        return Split("", text.strip(), CUT if truncated else ENDED)
    answer: list[str] = []
    thinking: list[str] = []
    if truncated and marks.opened is None and _is_begun(text, marks):
        return Split("", None, CUT)
    if marks.pairs and marks.opened is None and next(_found(text, marks), None) is None:
        marks = Marks(is_known=True)  # it may have been taught other marks than its tokenizer and template have
    inside = marks.opened.casefold() if marks.opened else None
    at = blocks = nested = 0
    for mark in _found(text, marks):
        before = text[at : mark.start]
        if inside is not None:
            if mark.is_open:
                nested += 1
            elif mark.closes == inside:
                thinking.append(before)
                at, inside, blocks = mark.end, None, blocks + 1
        elif mark.is_open:
            if _opens(text, mark, marks, blocks, truncated):
                answer.append(before)
                at, inside = mark.end, mark.closes
        elif _closes_what_came_before(marks, blocks, nested, mark):
            thinking.append(before)
            at, nested = mark.end, max(0, nested - 1)
    rest = text[at:]
    if inside is not None:
        thinking.append(rest)
        rest = ""
    said = "".join([*answer, rest]).strip() if thinking else text
    thought = "\n".join(part for piece in thinking if (part := _bare(piece, marks)))
    unfinished = (CUT if truncated else ENDED) if inside is not None and not said.strip() else None
    return Split(said, thought if thinking else None, unfinished)


def _found(text: str, marks: Marks) -> Iterator[_Mark]:
    """The marks in a text from left to right, quoted ones left out."""
    if marks.pairs:
        known = {opening.casefold(): closing.casefold() for opening, closing in marks.pairs}
        words = sorted({*known, *known.values()}, key=len, reverse=True)
        pattern = re.compile(
            "|".join(re.escape(word).replace("thought", r"\s*thought") for word in words), re.IGNORECASE
        )
    else:
        known, pattern = {}, _ANY
    for found in pattern.finditer(text):
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        if before and after and before in _QUOTES and after in _QUOTES:
            continue
        word = re.sub(r"\s", "", found.group()).casefold()
        if known:
            is_open = word in known and word not in known.values()
            yield _Mark(found.start(), found.end(), known[word] if is_open else word, is_open)
        else:
            is_open = found["open"] is not None
            yield _Mark(found.start(), found.end(), closings(word)[0] if is_open else word, is_open)


def _opens(text: str, mark: _Mark, marks: Marks, blocks: int, truncated: bool) -> bool:
    """Whether an opening mark opens a block, rather than being spoken of."""
    before, rest = text[: mark.start], text[mark.end :]
    is_first = not before.strip()
    is_closed = mark.closes in rest.casefold()
    if marks.pairs:
        is_special = text[mark.start : mark.end] in marks.special
        at_line = is_first or before.rstrip(" \t").endswith("\n") or (blocks > 0 and is_closed)
        return is_special or at_line
    if marks.is_known:  # a model without marks of its own, that was taught some
        return is_first and (is_closed or truncated)
    return is_first or (blocks > 0 and is_closed)


def _is_begun(text: str, marks: Marks) -> bool:
    """Whether a text is the beginning of an opening mark, and no more."""
    likely = (opening for opening, _ in marks.pairs) if marks.is_known else ("<think>", "[THINK]", CHANNEL)
    return bool(text.strip()) and any(opening.startswith(text.strip()) for opening in likely)


def _closes_what_came_before(marks: Marks, blocks: int, nested: int, mark: _Mark) -> bool:
    """Whether a closing mark without an open block ends thinking: its beginning may be in the prompt, or be nested."""
    if nested:
        return True
    return blocks == 0 and (bool(marks.pairs) or not marks.is_known)


def _bare(thinking: str, marks: Marks) -> str:
    """Thinking without marks that were left at its beginning: a model may repeat the one of the prompt."""
    text = thinking.strip()
    for opening, _ in marks.pairs:
        text = text.removeprefix(opening).strip()
    return text


def _channels(text: str, marks: Marks, truncated: bool) -> Split:
    """The format of gpt-oss: what is written to the channel `final` is the answer, all else leads to it."""
    if CHANNEL not in text and (found := _BARE.match(text)) and marks.opened is None:
        if found[2] is None:
            return Split("", found[1].strip(), CUT if truncated else ENDED)
        return Split(found[2].strip(), found[1].strip())
    answer: list[str] = []
    thinking: list[str] = []
    heads = list(_SEGMENT.finditer(text))
    lead = _SEGMENT_ENDS.split(text[: heads[0].start()] if heads else text, maxsplit=1)[0].replace(CHANNEL, "")
    if lead.strip():
        (thinking if marks.opened == CHANNEL or not heads else answer).append(lead.strip())
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = text[head.end() : following.start() if following else len(text)]
        body = _SEGMENT_ENDS.split(body, maxsplit=1)[0].strip()
        (answer if head[1] == "final" and " to=" not in head[2] else thinking).append(body)
    said = "\n".join(part for part in answer if part)
    is_final = any(head[1] == "final" for head in heads) or bool(said)
    thought = "\n".join(part for part in thinking if part)
    return Split(said, thought if thinking else None, None if is_final else CUT if truncated else ENDED)


@dataclass(frozen=True)
class Reader:
    """Reads stored responses of a model: the answer apart from the thinking, each within its limit.

    `encode` and `decode` are those of the model's tokenizer; None: a server's, which counts for itself.
    """

    marks: Marks = field(default_factory=Marks)
    encode: Callable[[str], list[int]] | None = None
    decode: Callable[[list[int]], str] | None = None

    guessed: str | None = None
    """The closing mark of a block that a server's template seems to open, as other answers of it end one."""

    def informed(self, rows: Iterable[Mapping[str, Any]]) -> "Reader":
        """The same, knowing what all answers of a server show: that their thinking begins within the prompt."""
        if self.marks.is_known or self.guessed:
            return self
        for row in rows:
            first = next(_found(str(row.get("response") or ""), self.marks), None)
            if first and not first.is_open:
                return replace(self, guessed=first.closes)
        return self

    def read(self, row: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """A stored row as samples hold it: `response`, `thinking`, `truncated` and, without an answer, `unfinished`."""
        text, truncated = str(row.get("response") or ""), bool(row.get("truncated"))
        if row.get("blocked") or row.get("unanswered"):
            return {"response": text, "thinking": row.get("thinking")}
        marks = self.marks
        if self.guessed and truncated and next(_found(text, marks), None) is None:
            marks = replace(marks, opened=self.guessed)
        found = split(text, marks, truncated)
        if given := row.get("thinking"):  # which the server has parted already
            rest = found.answer if found.unfinished is None else ""
            unfinished = None if rest.strip() else CUT if truncated else ENDED
            found = Split(rest, "\n".join(filter(None, [str(given), found.thinking])), unfinished)
        elif not text.strip() and truncated and row.get("tokens_thinking"):  # which the server does not show
            found = Split("", None, CUT)
        budget = settings.get("thinking_tokens")
        if budget is not None and found.thinking is not None and self._count(found.thinking, row) > budget:
            found = Split("", found.thinking, CUT)
        answer = found.answer
        if stops := [stop for stop in settings.get("stop_after_thinking") or () if stop]:
            answer = re.split("|".join(map(re.escape, stops)), answer, maxsplit=1)[0]
        if budget is not None and self.encode and self.decode:
            limit = int(settings["max_gen_toks"]) - budget
            tokens = self.encode(answer)
            if len(tokens) > limit:
                answer, truncated = self.decode(tokens[:limit]), True
        made = {"response": answer, "thinking": found.thinking, "truncated": truncated}
        return made | ({"unfinished": found.unfinished} if found.unfinished else {})

    def _count(self, thinking: str, row: Mapping[str, Any]) -> int:
        if self.encode:
            return len(self.encode(thinking))
        return int(row.get("tokens_thinking") or 0)
