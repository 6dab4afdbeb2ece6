"""What may be shown to everybody: which names are fit for a table, and what of a record is published."""

import unicodedata
from collections.abc import Iterator
from functools import cache
from re import compile as pattern

from mlc_bench.errors import UsageError
from mlc_bench.record import RunRecord

from . import lineage

LONGEST = 200  # characters of a name
PROMPT_REMOVED = "(removed; sha256 "
_IDENTIFIER = pattern(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
_DIGEST = pattern(r"[0-9a-f]{64}")
# Control, format (right-to-left overrides, zero width), surrogate, private, unassigned; line and paragraph separators.
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str, longest: int = LONGEST) -> str:
    """The text on one line: what cannot be printed as its code point, cut to `longest` characters."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(f"<U+{ord(c):04X}>" if unicodedata.category(c) in _UNPRINTABLE else c for c in cut)


def check_names(record: RunRecord) -> None:
    """Raises UsageError for the first name that no table can show honestly: where it stands, and why.

    Names that people choose (models, adapters, methods) may hold anything printable: each format escapes them. What
    the programs choose (tasks, languages, metrics, judges, ids) is letters, digits and `._+-`.
    """
    for where, text in _identifiers(record):
        if not _is_identifier(text):
            raise UsageError(f"{where} '{printable(text, 40)}' is not 1 to 80 letters, digits and ._+-")
    if not _DIGEST.fullmatch(record.model.fingerprint):
        raise UsageError(f"model.fingerprint '{printable(record.model.fingerprint, 40)}' is not a sha256")
    for where, text in _texts(record):
        if fault := _fault(text):
            raise UsageError(f"{where} {fault}: '{printable(text, 40)}'")


def _identifiers(record: RunRecord) -> Iterator[tuple[str, str]]:
    yield "run_id", record.run_id
    yield "judge.id", record.judge.id
    for task in record.tasks:
        yield "the name of a task", task.name
        yield "over_refusal_task", task.over_refusal_task or "none"
        for code, result in task.languages.items():
            yield "the code of a language", code
            for metric in result.metrics:
                yield "the name of a metric", metric


def _texts(record: RunRecord) -> Iterator[tuple[str, str]]:
    model = record.model
    yield "model.name", model.name
    yield "model.adapter.name", model.adapter.name if model.adapter else "none"
    yield "model.engine_version", model.engine_version or "none"
    yield "model.training.method", lineage.method(model)
    yield "model.training.base_model.name", lineage.base_name(model) or "none"
    yield "judge.version", record.judge.version
    yield "finished", record.finished
    for code in lineage.seen_languages(model) or ():
        yield "model.training languages", code


@cache
def _is_identifier(text: str) -> bool:
    return _IDENTIFIER.fullmatch(text) is not None


@cache
def _fault(text: str) -> str:
    if len(text) > LONGEST:
        return f"has {len(text)} characters, more than {LONGEST}"
    if bad := next((c for c in text if unicodedata.category(c) in _UNPRINTABLE), None):
        return f"has a character that cannot be shown (U+{ord(bad):04X})"
    return "" if text.strip() else "is empty"
