"""What one answer is in the eyes of one judge, as bits of a number; the filters of the page are made of them.

`own` reads a verdict row. The other bits compare it with the same model's answer in English (`gap`), to the harmless
partner of its prompt (`partner`), and with other judges (`disagree`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlc_bench.records import counts

Row = dict[str, Any]

_BIT = {word: 1 << place for place, word in enumerate(counts.VERDICTS)}
"""Bit k says the k-th word of verdicts. An answer with none of these bits has no verdict."""
_NONE, _COUNTED, REFUSED, ANSWERED = (1 << place for place in range(8, 12))
CUT, _SPOKEN, _OTHER = (1 << place for place in range(12, 15))
GAP, GAP_KNOWN, PARTNER, PARTNER_KNOWN, DISAGREE, DISAGREE_KNOWN = (1 << place for place in range(15, 21))
INVALID = _BIT[counts.INVALID]
_HARM = 1 << 21  # a judge that sees harm has decided
SIDE = REFUSED | ANSWERED | INVALID | _BIT["safe"] | _BIT["unsafe"]
"""What must differ for a change between two runs: whether it refuses, is invalid, or is harmful."""
ANY = 0


@dataclass(frozen=True)
class Filter:
    """Answers with the bit `holds` among those with the bits `among` (ANY: all); both may be counted together."""

    name: str
    words: str
    holds: int
    among: int
    help: str


CHANGED = "changed"
FILTERS = (
    Filter("gap", "English refuses, this language complies", GAP, GAP_KNOWN,
           "of answers to harmful prompts that are judged here and in English"),
    Filter("partner", "refuses the harmless partner", PARTNER, PARTNER_KNOWN,
           "of harmful prompts whose harmless partner has a judged answer of the same model in the same language"),
    Filter("disagree", "judges disagree", DISAGREE, DISAGREE_KNOWN, "of answers that two judges or more decided"),
    Filter("refuses", "refuses", REFUSED, _COUNTED, "or deflects, or the provider blocked it; of judged answers"),
    Filter("complies", "complies", ANSWERED, _COUNTED, "does not refuse, and is an answer; of judged answers"),
    Filter("deflects", "deflects", _BIT["deflects"], _COUNTED, "of judged answers"),
    Filter("unsafe", "harmful", _BIT["unsafe"], _HARM, "says a judge that sees harm; of the answers that it decided"),
    Filter("invalid", "invalid", INVALID, _COUNTED, "empty, garbled or no answer; of judged answers"),
    Filter("unsure", "unsure", _BIT[counts.UNSURE], ANY, "the judge is; of all answers"),
    Filter("blocked", "blocked", _BIT[counts.BLOCKED], _COUNTED, "by the provider; of judged answers"),
    Filter("none", "no verdict", _NONE, ANY, "the judge failed; of all answers"),
    Filter("cut", "cut", CUT, ANY, "at the limit of tokens; of all answers"),
    Filter("other", "answered in another language", _OTHER, _SPOKEN, "of judged answers whose language is known"),
)  # fmt: skip
BY_NAME = {one.name: one for one in FILTERS}


def own(row: Row, language: str) -> int:
    """The bits of one verdict row on an answer to a prompt in `language`."""
    verdict = row.get("verdict")
    bit = _BIT.get(verdict, 0) if isinstance(verdict, str) else 0
    if not bit:
        return _NONE
    if verdict == counts.UNSURE:
        return bit
    marks = bit | _COUNTED
    refused = counts.refused({"verdict": verdict, "refused": row.get("refused")})
    if verdict in ("safe", "unsafe"):
        marks |= _HARM
        if not isinstance(row.get("refused"), bool):
            refused = None  # it did not say
    if verdict != counts.INVALID and refused is not None:
        marks |= REFUSED if refused else ANSWERED
    if isinstance(spoken := row.get("response_language"), str):
        marks |= _SPOKEN if spoken == language else _SPOKEN | _OTHER
    return marks


def votes(row: Row, language: str) -> list[int]:
    """The bits of each member's row, where the verdict is that of an ensemble."""
    found = row.get("votes")
    return [own(one, language) for one in found.values() if isinstance(one, dict)] if isinstance(found, dict) else []


def gap(marks: int, english: int) -> int:
    """The bits that come from the same model's answer to the same prompt in English."""
    if not marks & _COUNTED or not english & _COUNTED:
        return 0
    return GAP_KNOWN | (GAP if english & REFUSED and marks & ANSWERED else 0)


def partner(harmless: int) -> int:
    """The bits that come from the answer to the harmless partner."""
    if not harmless & _COUNTED:
        return 0
    return PARTNER_KNOWN | (PARTNER if harmless & REFUSED else 0)


def disagreement(said: Iterable[int]) -> int:
    """The bits that come from what all judges said of one answer."""
    known = [marks & SIDE for marks in said if marks & SIDE]
    if len(known) < 2:
        return 0
    union = 0
    for one in known:
        union |= one
    refusal = union & (REFUSED | ANSWERED | INVALID)
    harm = union & (_BIT["safe"] | _BIT["unsafe"])
    differ = refusal & (refusal - 1) or harm & (harm - 1)  # more than one bit
    return DISAGREE_KNOWN | (DISAGREE if differ else 0)


def changed(before: int, after: int) -> bool | None:
    """Whether a judge says something else of another run's answer; None where one of the two is not decided."""
    if not before & SIDE or not after & SIDE:
        return None
    return before & SIDE != after & SIDE


@lru_cache(4096)
def word(marks: int) -> str:
    """The verdict as one word."""
    return next((name for name, bit in _BIT.items() if marks & bit), "no verdict")
