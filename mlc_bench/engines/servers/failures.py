"""What an HTTP error of an OpenAI-compatible server means: try again, give this prompt up, or stop.

Servers agree on little here. The sources of the words below are the error pages of OpenAI, Azure OpenAI, Anthropic,
Gemini, OpenRouter, DeepSeek, DashScope and Zhipu, and what vLLM, SGLang and llama.cpp send.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

RETRIED = {408, 409, 425, 429}  # and all from 500 on
_OF_CONTENT = {400, 403, 422, 451}

# Codes and types, in small letters without anything between the letters.
_CONTENT_CODE = re.compile(
    r"content(filter|polic|risk|violat|moderat|block|exist|manage)|polic(y|ies)|moderat|safety|flagged|prohibited|"
    r"inspection|guardrail|sensitive|responsibleai|invalidprompt"
)
_LENGTH_CODE = re.compile(r"contextlength|contextwindow|stringabovemax|prompttoolong|toolarge|exceedcontext")
_MONEY_CODE = re.compile(r"insufficientquota|insufficientbalance|insufficientcredit|billing|paymentrequired|arrear")
_MODEL_CODE = re.compile(r"model(not)?(found|exist|available)|unknownmodel|invalidmodel|deploymentnotfound")
_KEY_CODE = re.compile(r"invalidapikey|apikeyinvalid|authentication|unauthorized")

_CONTENT = re.compile(
    r"content (management )?(policy|policies|filter|risk|exists risk)|content.{0,30}(violat|flagged|blocked|filtered)|"
    r"safety|moderat(ion|ed)|flagged|usage (policy|policies|guidelines)|violat\w*.{0,40}(polic|guideline|terms)|"
    r"inappropriate|prohibited|sensitive|guardrail|harmful|data.?inspection|high risk|responsible ai"
)
_LENGTH = re.compile(
    r"context (length|window|size)|maximum.{0,30}(context|sequence|input) ?length|(prompt|input|message\w*|request) "
    r"(is |are )?too (long|large)|reduce the length|max_model_len"
)
_MONEY = re.compile(r"credit balance|insufficient (balance|credit|funds|quota)|billing|payment required")
_MODEL = re.compile(
    r"(invalid|unknown|no such|unsupported) model|model.{0,80}(not exist|not found|not available|unknown)"
)
_KEY = re.compile(r"api[ _-]?key|unauthorized")
_UNSUPPORTED = re.compile(
    r"support|unknown|unrecogni[sz]ed|unexpected|permitted|extra inputs|extra fields|not allowed|must be|"
    r"invalid|required|missing|deprecated|instead|only|cannot|greater|less|too large|out of range|no longer"
)


@dataclass(frozen=True)
class Said:
    """An error as a server words it: its message, its codes and types, and the request's fields that it names."""

    message: str = ""
    codes: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


class Again(Exception):
    """A failure that another attempt may fix; `pause`: the seconds that the server wants to be left alone."""

    def __init__(self, tag: str, detail: str, pause: float = 0.0) -> None:
        super().__init__(f"{tag}: {detail}")
        self.tag, self.detail, self.pause = tag, detail, pause


class Rejected(Exception):
    """The server will not answer this one prompt: for its content, its length, a reason of its own, or not today."""

    def __init__(self, kind: Literal["content", "length", "other", "wait"], detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


class Stopped(Exception):
    """No prompt will be answered until the user does something.

    `kind`: key, access, money, model, address, or parameter; of a parameter, `field` is its name.
    """

    def __init__(self, kind: str, why: str, detail: str, field: str | None = None) -> None:
        super().__init__(f"{why} ({detail})")
        self.kind, self.why, self.detail, self.field = kind, why, detail, field


@dataclass
class _Reader:
    message: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    def take(self, error: Any) -> None:
        if isinstance(error, str):
            self.message.append(_title(error) if error.lstrip().startswith("<") else error)
        elif isinstance(error, list):
            for part in error:
                self.take(part)
        elif isinstance(error, dict):
            self._take_object(error)

    def _take_object(self, error: dict[str, Any]) -> None:
        for key in ("message", "msg"):
            if isinstance(text := error.get(key), str):
                self.message.append(text)
        for key in ("code", "type", "status", "reason", "reasons"):
            values = error.get(key)
            self.codes += [str(value) for value in (values if isinstance(values, list) else [values]) if value]
        if isinstance(parameter := error.get("param"), str):
            self.fields.append(parameter)
        if isinstance(where := error.get("loc"), list):  # FastAPI's: ["body", "seed"]
            self.fields += [part for part in where if isinstance(part, str) and part != "body"]
        for key in ("error", "detail", "innererror", "metadata", "details"):
            self.take(error.get(key))


def _title(page: str) -> str:
    """Of a gateway's page the title, as what it says further down may hold any word."""
    found = re.search(r"<title[^>]*>([^<]*)", page, re.IGNORECASE)
    return f"a web page, {found[1].strip()}" if found else "a web page"


def said(content: Any) -> Said:
    """The error in the body of a reply; anything that is none is an empty one."""
    reader = _Reader()
    reader.take(content)
    return Said(" ".join(reader.message), tuple(reader.codes), tuple(reader.fields))


def failure(
    status: int, error: Said, detail: str, sent: Collection[str], pause: float = 0.0
) -> Again | Rejected | Stopped:
    """What an error means. `detail`: one line for people; `sent`: the fields of the request besides its messages."""
    codes = " ".join(re.sub(r"[^a-z]", "", code.casefold()) for code in error.codes)
    message = error.message.casefold()
    bad_request = status in (400, 422)
    if status >= 400 and _CONTENT_CODE.search(codes):
        return Rejected("content", detail)
    if status in RETRIED - {429} or status >= 500:
        return Again(f"http-{status}", detail, pause)
    if status == 401 or _KEY_CODE.search(codes) or (bad_request and _KEY.search(message)):
        return Stopped("key", "it refuses the key", detail)
    if status == 402 or _MONEY_CODE.search(codes) or (bad_request and _MONEY.search(message)):
        return Stopped("money", "the account's quota is used up, or it has no credit left", detail)
    if status == 429:
        return Again("rate-limit", detail, pause)
    if status == 403:
        if _CONTENT.search(message):
            return Rejected("content", detail)
        return Stopped("access", "it refuses the key access to this model or from this place", detail)
    if status == 404 or _MODEL_CODE.search(codes) or (bad_request and _MODEL.search(message)):
        return Stopped("model", "it does not know the model or the address", detail)
    if status not in _OF_CONTENT and status != 413:
        return Stopped("address", "it takes no chat completions at this address", detail)
    if status == 413 or _LENGTH_CODE.search(codes) or _LENGTH.search(message):
        return Rejected("length", detail)
    if named := _named(error, codes, message, sent):
        return Stopped("parameter", f"it does not take '{named}' as it was sent", detail, named)
    if status == 451 or _CONTENT.search(message):
        return Rejected("content", detail)
    return Rejected("other", detail)


def _named(error: Said, codes: str, message: str, sent: Collection[str]) -> str | None:
    """The field of the request that the error is about; None where it is about the prompt."""
    if named := next((name for name in error.fields if name in sent), None):
        return named
    if _UNSUPPORTED.search(message) or "param" in codes:
        return next((name for name in sent if re.search(rf"\b{re.escape(name.casefold())}\b", message)), None)
    return None
