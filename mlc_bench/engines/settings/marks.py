"""The marks around a model's thinking, found in its tokenizer and its chat template by their form.

A mark has a name for thinking between signs that are no prose: `<think>`, `<seed:think>`, `[THINK]`, `◁think▷`,
`<|START_THINKING|>`. A template may show others: those it cuts old answers at, those around the reasoning that it is
given, and those that the generation prompt opens. gpt-oss writes channels, Gemma unused tokens.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlc_bench.engines.settings import template as templates

CHANNEL = "<|channel|>"
_WORDS = r"think(?:ing)?|thoughts?|reason(?:ing)?|analysis|scratchpad|cot"
NAME = rf"(?:[a-z0-9.]+[:_-])?(?:{_WORDS})"
_TAG = re.compile(r"<\|?/?[^\s<>|/'\"{}]{1,40}\|?>|<\|/[^\s<>|]{1,40}\|>|\[/?[A-Z][A-Z_]{2,24}\]|◁/?[^◁▷\s]{1,24}▷")
_THINKING = re.compile(rf"(?<![a-z])(?:{_WORDS})(?![a-z])", re.IGNORECASE)
# Names of what else stands between such signs, and never around thinking.
_OTHER = re.compile(
    r"tool|answer|response|function|code|image|vision|user|assistant|system|im_|turn|header|output|reply|bot|model|human"
    r"|message|text|content|sentence|inst",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"(?<![a-z])(?:start|begin)(?![a-z])", re.IGNORECASE)
_ENDS = re.compile(r"(?<![a-z])end(?![a-z])", re.IGNORECASE)
_CUT_AT = re.compile(r"""(?:split|partition)\(\s*(['"])(.{2,60}?)\1""")
GEMMA = ("<unused94>thought", "<unused95>")
_SENTINELS = ("mlcreasoned", "mlcanswered")

Pair = tuple[str, str]


@dataclass(frozen=True)
class Marks:
    """The marks of one model. Without any, `is_known` says whether it was looked for them."""

    pairs: tuple[Pair, ...] = ()
    """Opening and closing marks. A closing mark of the harmony format is written as its channel mark."""
    opened: str | None = None
    """The closing mark of the block that the generation prompt opens, so that an answer begins within it."""
    special: tuple[str, ...] = ()
    """Those among them that are special tokens, which decoding leaves out unless they are asked for."""
    is_known: bool = False
    thinks: bool = False
    """Whether the template has a place for thinking (a tokenizer may have marks that a model never writes)."""

    @property
    def shown(self) -> list[str]:
        """The pairs as records hold them: `<think> </think>`."""
        return [f"{opening} {closing}" for opening, closing in self.pairs]


def closings(opening: str) -> list[str]:
    """What may close a mark, likeliest first."""
    if opening in ("<|channel>", GEMMA[0]):
        return ["<channel|>" if opening == "<|channel>" else GEMMA[1]]
    if _BEGINS.search(opening):
        return [_cased(_BEGINS, opening, "end")]
    if opening.startswith("<|"):
        inner = opening[2:].rstrip(">").rstrip("|")
        return [f"<|/{inner}|>", f"<|end_{inner}|>", f"<|{inner}_end|>", f"<{inner}|>", f"</|{inner}|>"]
    return [opening[0] + "/" + opening[1:]]


def openings(closing: str) -> list[str]:
    """What a mark may close, likeliest first; empty for a mark that closes nothing."""
    if _ENDS.search(closing):
        inner = closing.replace("end_", "").replace("_end", "")
        return [_cased(_ENDS, closing, word) for word in ("start", "begin")] + [inner]
    if "/" in closing:
        return [closing.replace("/", "", 1)]
    return []


def _cased(word: re.Pattern[str], mark: str, other: str) -> str:
    return word.sub(lambda found: other.upper() if found.group().isupper() else other, mark, count=1)


def find(template: str, tokens: Mapping[str, bool], arguments: Mapping[str, Any]) -> Marks:
    """The marks of a model: `tokens` are the added tokens of its tokenizer, true for special ones.

    `arguments` are what the template is rendered with: a switch may have turned the thinking off.
    """
    tags = set(_TAG.findall(template)) | {token for token in tokens if _TAG.fullmatch(token)}
    pairs = _by_name(tags) + _by_template(template, tags)
    suffix = ""
    if pairs or CHANNEL in tags or any(_mate(tag, tags) and _may_be(tag) for tag in tags):
        suffix = _generation_prompt(template, arguments)
        pairs += _around_reasoning(template, tags, arguments)
        # Whatever its name: what the prompt opens, and has a closing half.
        pairs += [
            (tag, mate) for tag in _TAG.findall(suffix) if (mate := _mate(tag, tags)) and _may_be(tag) and "/" in mate
        ]
    if CHANNEL in tags:
        pairs.append((CHANNEL + "analysis", CHANNEL))
    if "<|channel>" in tags and "<channel|>" in tags:
        pairs.append(("<|channel>", "<channel|>"))
    if {"<unused94>", "<unused95>"} <= set(tokens):
        pairs.append(GEMMA)
    pairs = list(dict.fromkeys(pairs))
    return Marks(
        pairs=tuple(pairs),
        opened=_opened(suffix, pairs),
        special=tuple(sorted(token for token, special in tokens.items() if special and _is_part(token, pairs))),
        is_known=True,
        thinks=any(opening in template or closing in template for opening, closing in pairs),
    )


def _is_part(token: str, pairs: Iterable[Pair]) -> bool:
    """Whether a special token is a mark, or holds the channels of one together."""
    if any(closing == CHANNEL for _, closing in pairs) and token in (CHANNEL, "<|message|>", "<|start|>", "<|end|>"):
        return True
    return any(opening.startswith(token) or closing == token for opening, closing in pairs)


def _may_be(tag: str) -> bool:
    """Whether a mark may stand around thinking, by what it is not: short names begin and end texts and turns."""
    return not _OTHER.search(tag) and len(re.sub(r"[^A-Za-z]", "", tag)) > 2


def _mate(tag: str, tags: set[str]) -> str | None:
    """The mark among others that closes this one."""
    return None if openings(tag) else next((mark for mark in closings(tag) if mark in tags), None)


def _by_name(tags: set[str]) -> list[Pair]:
    """Marks that are named for thinking; of one that stands alone, the other half is made up by its form."""
    pairs = []
    for tag in sorted(tag for tag in tags if _THINKING.search(tag) and not _OTHER.search(tag)):
        if opened := openings(tag):
            pairs.append((next((mark for mark in opened if mark in tags), opened[0]), tag))
        elif not any(tag in openings(other) for other in tags):
            pairs.append((tag, _mate(tag, tags) or closings(tag)[0]))
    return pairs


def _by_template(template: str, tags: set[str]) -> list[Pair]:
    """Marks at which a template cuts what the model said earlier, whatever their name."""
    pairs = []
    for _, mark in _CUT_AT.findall(template):
        if _TAG.fullmatch(mark) and _may_be(mark) and (opened := openings(mark)):
            pairs.append((next((one for one in opened if one in tags), opened[0]), mark))
    return pairs


def _generation_prompt(template: str, arguments: Mapping[str, Any]) -> str:
    """What a template writes between the user's words and the answer."""
    rendered = templates.render(template, [{"role": "user", "content": _SENTINELS[1]}], **arguments)
    return (rendered or "").rpartition(_SENTINELS[1])[2]


def _around_reasoning(template: str, tags: set[str], arguments: Mapping[str, Any]) -> list[Pair]:
    """The marks that a template writes around reasoning that it is given."""
    reasoned, answered = _SENTINELS
    turn = {"role": "assistant", "content": answered}
    turn |= {name: reasoned for name in ("reasoning_content", "reasoning", "thinking")}
    rendered = templates.render(template, [{"role": "user", "content": "?"}, turn], prompt=False, **arguments) or ""
    before, _, rest = rendered.partition(reasoned)
    between = rest.partition(answered)
    last = _TAG.findall(before)[-1:]
    first = _TAG.findall(between[0])[:1]
    if not (between[1] and last and first and before.rstrip().endswith(last[0])) or CHANNEL in before:
        return []
    return [(last[0], first[0])] if _may_be(last[0]) and _may_be(first[0]) else []


def _opened(suffix: str, pairs: Iterable[Pair]) -> str | None:
    """The closing mark of the block that a generation prompt leaves open."""
    for opening, closing in pairs:
        at = suffix.rfind(opening)
        if at >= 0 and (closing == CHANNEL or closing not in suffix[at + len(opening) :]):
            return closing
    return None


_SWITCH = re.compile(r"think|reason", re.IGNORECASE)
_NEGATIVE = re.compile(r"(?:^|_)(?:skip|disable|no|non|without|hide)(?:_|$)", re.IGNORECASE)


def switch(template: str, wanted: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that turn a template's thinking on or off; None where it has no switch for that."""
    names = [name for name in templates.variables(template) if _SWITCH.search(name)]
    for name in sorted(names, key=lambda name: (not name.startswith("enable"), len(name), name)):
        values = _values(template, name)
        if values is None:
            continue
        renders = [_generation_and_system(template, {**arguments, name: value}) for value in values]
        if renders[0] != renders[1]:
            off, on = values
            value = off if wanted == "off" else on
            return {} if value is None else {name: value}
    return None


def _values(template: str, name: str) -> tuple[Any, Any] | None:
    """What a switch is set to for off and for on (None: it is left alone); None where it has no off."""
    if "effort" in name or "mode" in name or "level" in name:
        literal = next(
            (word for word in ("none", "off", "no_think") if re.search(rf"""['"]{word}['"]""", template)), None
        )
        return None if literal is None else (literal, None)
    if "budget" in name or "tokens" in name:
        return 0, None
    if name in ("reasoning_content", "thinking_content", "reasoning_text"):  # of a message
        return None
    return (True, False) if _NEGATIVE.search(name) else (False, True)


def _generation_and_system(template: str, arguments: Mapping[str, Any]) -> str | None:
    given = {name: value for name, value in arguments.items() if value is not None}
    return templates.render(template, [{"role": "user", "content": "?"}], **given)
