"""The formats of training data: one row of any of them as a row of one shape.

Known are the formats of the MLC and MPO repositories, and a plain schema of our own: JSON lines with `id`, `prompts`
({language code: text}, English among them), `chosen` and `rejected` (English responses), optional `responses`
({language code: {chosen, rejected}}), `kind` (harmful or benign), optional `partner` and `draft`; see
docs/guides/train.md. Languages are any of the world, by their codes (BCP 47); nothing here lists them.
"""

from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from mlc_bench.catalog import languages
from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import UsageError

PIVOT = "en"  # the language that is aligned, and that chosen and rejected are written in


class Pair(TypedDict):
    """The two responses of one language. Supervised data may have no rejected one."""

    chosen: str
    rejected: str | None


class Row(TypedDict):
    """One prompt and its translations, with what to answer and what not to.

    `chosen` and `rejected` are English; None where the data has none (a method that needs them says so, see `require`).
    """

    id: str
    prompts: dict[str, str]
    chosen: str | None
    rejected: str | None
    responses: dict[str, Pair] | None
    kind: Literal["harmful", "benign"]
    category: NotRequired[str]
    partner: NotRequired[str]
    """Of a contrast pair: the id of the row of the other kind, in similar words."""
    draft: NotRequired[str]
    """Who drafted the translations, where no speaker has read them."""


def parse(where: str, raw: dict[str, Any]) -> Row | None:
    """One row of any known format. None for an MPO row whose target is not another language than English."""
    if "prompts" in raw:
        return _plain(where, raw)
    if "source_conversations" in raw:
        return _mpo(where, raw)
    if "instruction" in raw:
        prompt = raw["instruction"]
        if raw.get("input"):
            prompt = f"{prompt}\n{raw['input']}"
        return _mlc(where, raw | {"prompt": prompt}, chosen=_theirs(where, raw, "output"), rejected=None)
    if "prompt" in raw:
        return _mlc(where, raw, _theirs(where, raw, "chosen"), _theirs(where, raw, "rejected"))
    raise UsageError(
        f"{where}: no known format; a row has 'prompts' (our schema), 'prompt' or 'instruction' (MLC), or "
        f"'source_conversations' (MPO), and this one has {', '.join(map(str, raw)) or 'nothing'}"
    )


def _plain(where: str, raw: dict[str, Any]) -> Row:
    known = set(Row.__annotations__)
    if extra := sorted(set(raw) - known):
        raise UsageError(f"{where}: unknown column '{extra[0]}'; known: {', '.join(sorted(known))}")
    if not isinstance(raw["prompts"], dict):
        raise UsageError(f"{where}: 'prompts' must map language codes to texts")
    if raw.get("kind") not in ("harmful", "benign"):
        raise UsageError(f"{where}: 'kind' must be harmful or benign")
    responses = None
    if raw.get("responses") is not None:
        if not isinstance(raw["responses"], dict):
            raise UsageError(f"{where}: 'responses' must map language codes to {{chosen, rejected}}")
        responses = {_language(where, code): _pair(where, code, pair) for code, pair in raw["responses"].items()}
    row = Row(
        id=str(raw["id"]) if raw.get("id") not in (None, "") else _missing(where, "id"),
        prompts=_prompts(where, raw["prompts"]),
        chosen=_text(where, raw, "chosen", optional=True),
        rejected=_text(where, raw, "rejected", optional=True),
        responses=responses,
        kind=raw["kind"],
    )
    for name in ("category", "partner", "draft"):
        if raw.get(name):
            row[name] = str(raw[name])
    for code in responses or {}:
        if code not in row["prompts"]:
            raise UsageError(f"{where}: responses in '{code}', but no prompt in '{code}'")
    return row


def _mlc(where: str, raw: dict[str, Any], chosen: str | None, rejected: str | None) -> Row:
    """A row of the MLC repository: `prompt` and `prompt_<code>`, as text or as chat turns; responses in English."""
    prompts = {PIVOT: raw["prompt"]}
    for column, value in raw.items():
        if column.startswith("prompt_"):
            code = _language(f"{where}, column '{column}'", column.removeprefix("prompt_"))
            if code in prompts and code != PIVOT:
                raise UsageError(f"{where}: two columns are '{code}', one of them '{column}'; keep one")
            prompts[code] = value
    return Row(
        id=str(raw.get("id") or _id(where)),
        prompts=_prompts(where, prompts),
        chosen=chosen,
        rejected=rejected,
        responses=None,
        kind="harmful",  # PKU-SafeRLHF
    )


def _mpo(where: str, raw: dict[str, Any]) -> Row | None:
    """A row of the MPO repository: a pair in English and its translation into a language that the file does not name.

    A part of the translations there is English still, so the language is that of the first part that is not.
    """
    from mlc_bench.judges import langid

    parts = {
        f"{side}_{part}": _theirs(where, raw, f"{side}_{part}")
        for side in ("source", "target")
        for part in ("conversations", "chosen", "rejected")
    }
    target = [parts[f"target_{part}"] or "" for part in ("conversations", "chosen", "rejected")]
    found = [code for code in map(langid.identify, target) if code and code != PIVOT]
    # A language without a file counts where two parts are in it: short texts are often taken for small languages.
    spoken = [code for code in found if world.has_file(code) or found.count(code) > 1]
    if not spoken:
        return None
    code = spoken[0]
    return Row(
        id=str(raw.get("id") or _id(where)),
        prompts=_prompts(where, {PIVOT: parts["source_conversations"], code: target[0]}),
        chosen=parts["source_chosen"],
        rejected=parts["source_rejected"],
        responses={code: Pair(chosen=target[1], rejected=target[2])} if target[1] else None,
        kind="harmful",
    )


def _id(where: str) -> str:
    """An id for a row that has none: file and row number, so that later messages still say where to look."""
    name, _, number = where.rpartition(", row ")
    return f"{Path(name).stem}-{number}"


def _prompts(where: str, prompts: dict[str, Any]) -> dict[str, str]:
    """Checked prompts by language. A translation that is null is missing; an empty one is an error."""
    checked: dict[str, str] = {}
    for name, value in prompts.items():
        code = _language(where, name)
        if value is None and code != PIVOT:
            continue
        text = _as_text(value)
        if not text:
            raise UsageError(f"{where}: the prompt in '{name}' is empty or not text")
        if code in checked:
            raise UsageError(f"{where}: two prompts are in '{code}', one of them under '{name}'; keep one")
        checked[code] = text
    if PIVOT not in checked:
        raise UsageError(f"{where}: no prompt in '{PIVOT}'")
    return checked


def _pair(where: str, code: str, pair: Any) -> Pair:
    if not isinstance(pair, dict):
        raise UsageError(f"{where}: the responses in '{code}' must be {{chosen, rejected}}")
    here = f"{where}, responses in '{code}'"
    chosen = _text(here, pair, "chosen")
    assert chosen is not None
    return Pair(chosen=chosen, rejected=_text(here, pair, "rejected", optional=True))


def _text(where: str, raw: dict[str, Any], column: str, optional: bool = False) -> str | None:
    if raw.get(column) is None:
        return None if optional else _missing(where, column)
    text = _as_text(raw[column])
    if not text:
        raise UsageError(f"{where}: '{column}' is empty or not text")
    return text


def _theirs(where: str, raw: dict[str, Any], column: str) -> str | None:
    """As `_text`, for files of others: their few empty responses are missing ones, which `require` names if need be."""
    if column not in raw:
        _missing(where, column)
    return _as_text(raw[column]) or None


def _missing(where: str, column: str) -> str:
    raise UsageError(f"{where}: the column '{column}' is missing")


def _as_text(value: Any) -> str:
    """A text, a turn `{"from", "value"}`, or a list of one turn, as text without white space around it."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value = value.get("value", value.get("content"))
    return value.strip() if isinstance(value, str) else ""


def _language(where: str, code: str) -> str:
    try:
        return world.code_of(code) or languages.get(code).code
    except languages.UnknownLanguage as error:
        raise UsageError(f"{where}: {error}") from None
