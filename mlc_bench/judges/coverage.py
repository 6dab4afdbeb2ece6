"""What of us reads a language only by its file: the rules, and the words around a choice or a number.

Everything else takes any language of the world. What cannot is refused before the work, in one line that says the
remedy.
"""

import re
from collections.abc import Iterable
from typing import Any

from mlc_bench.catalog.languages import world
from mlc_bench.catalog.listing import TaskEntry
from mlc_bench.core.errors import UsageError
from mlc_bench.judges import spec

Asked = tuple[str, str, Iterable[str]]
"""A task's name, what it measures, and the languages that it is asked in."""

_WORDS = re.compile(r"\b(?:question_word|answer_word|choose)\b")
_SCORERS = ("mlc_bench.scoring.choice", "mlc_bench.scoring.number")


def check(judge: str, settings: dict[str, Any] | None, asked: Iterable[Asked]) -> None:
    """Raises UsageError where a judge cannot read answers in a language that has no file."""
    named = spec.get(judge, settings)
    for task, measures, codes in asked:
        bare = sorted({code for code in codes if not world.has_file(code)})
        if measures == "utility" or not bare or _reads_any(named.spec, measures):
            continue
        what = "does not say what is refused, which the rules would" if named.spec.kind in ("llm", "guard") else "reads"
        only = "" if named.spec.kind in ("llm", "guard") else " only languages that have a language file"
        raise UsageError(
            f"{task}: {' '.join(bare)} {'have' if len(bare) > 1 else 'has'} no language file, and the judge {named.id} "
            f"{what}{only}; name another judge (--judge llm@MODEL), other languages (--languages), or write the file: "
            f"mlc-bench languages new {bare[0]}"
        )


def check_words(entry: TaskEntry, codes: Iterable[str]) -> None:
    """Raises UsageError where a task needs words or numbers of a language that has no file."""
    bare = sorted({code for code in codes if not world.has_file(code)})
    if not bare or entry.family:
        return
    templates = " ".join(str(entry.config.get(key)) for key in ("doc_to_text", "doc_to_target", "doc_to_choice"))
    if entry.config.get("process_results") in _SCORERS or _WORDS.search(templates):
        raise UsageError(
            f"{entry.name}: its questions need words that a language file holds, and there is none for "
            f"{' '.join(bare)}; name other languages (--languages), or write it: mlc-bench languages new {bare[0]}"
        )


def _reads_any(found: spec.JudgeSpec, measures: str) -> bool:
    if found.kind in ("rules", "refusal"):
        return False
    if found.kind == "hidden":
        return True
    if found.kind == "ensemble":
        return all(_reads_any(spec.get(member).spec, measures) for member in found.judges)
    return measures == "safety" or (found.parser is not None and found.parser.refused is not None)
