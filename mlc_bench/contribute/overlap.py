"""Test prompts that are also in training data: word for word, but for spelling and spaces, or nearly so.

Every test prompt of every language is compared with all training texts, whatever language these are said to be in: a
wrong label hides nothing. It counts once, under the closest of three kinds:

- `exact`: the same text;
- `normalised`: the same letters and digits, whatever the case, width, accents, vowel signs, punctuation and spaces;
- `near`: a Jaccard similarity of shingles from `NEAR` on. Candidates come from MinHash with locality-sensitive hashing
  (Broder 1997; datasketch), and each is verified on the shingles themselves. Shingles are pairs of words, or three
  characters in scripts without spaces.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mlc_bench.catalog import data, listing
from mlc_bench.contribute.similarity import NEAR as NEAR
from mlc_bench.contribute.similarity import Index as Index
from mlc_bench.contribute.similarity import normalise as normalise
from mlc_bench.contribute.training_texts import UNKNOWN as UNKNOWN
from mlc_bench.contribute.training_texts import read as read
from mlc_bench.core.errors import UserError

KINDS = ("exact", "normalised", "near")
Report = dict[str, dict[str, dict[str, Any]]]


def report(texts_by_language: Mapping[str, Iterable[str]]) -> Report:
    """`{task: {language: {"prompts", "overlapping", "exact", "normalised", "near", "ids"}}}` of training texts.

    All are counts of test prompts but `ids`, the sorted ids of those that overlap. `texts_by_language` maps our codes
    (`UNKNOWN` where the language is not known) to the training texts. Only tasks whose data are on this machine are
    compared: see `unchecked`.
    """
    index = Index(list(dict.fromkeys(text for texts in texts_by_language.values() for text in texts)))
    found: Report = {}
    for entry, documents in _tests():
        for code, docs in documents.items():
            kinds = {doc["id"]: kind for doc in docs if (kind := index.kind(doc["prompt"]))}
            counts = {kind: sum(one == kind for one in kinds.values()) for kind in KINDS}
            found.setdefault(entry.name, {})[code] = {
                "prompts": len(docs),
                "overlapping": len(kinds),
                **counts,
                "ids": sorted(kinds),
            }
    return found


def by_language(found: Report) -> dict[str, dict[str, int]]:
    """The counts of a report, `ids` apart, summed over tasks, for every language that was compared, sorted by code."""
    sums: dict[str, dict[str, int]] = {}
    for counts_by_code in found.values():
        for code, counts in counts_by_code.items():
            own = sums.setdefault(code, dict.fromkeys(("prompts", "overlapping", *KINDS), 0))
            for name in own:
                own[name] += counts[name]
    return dict(sorted(sums.items()))


def unchecked() -> list[str]:
    """What cannot be compared, since its data are not on this machine: tasks, some with the languages in question."""
    here = {entry.name: set(documents) for entry, documents in _tests()}
    found = []
    for name, entry in listing.tasks().items():
        missing = sorted(set(listing.languages(entry) or []) - here.get(name, set()))
        if name not in here:
            found.append(name)
        elif missing:
            found.append(f"{name} ({' '.join(missing)})")
    return found


def _tests() -> Iterable[tuple[listing.TaskEntry, dict[str, list[dict[str, Any]]]]]:
    """Each task with its rows by language, as far as they are here; lm-eval's own tasks get their data themselves."""
    for entry in listing.tasks().values():
        try:
            documents = {} if entry.family else data.read_what_is_here(entry.source)
        except UserError:  # not the right file, or a fault in one language
            documents = _sound(entry)
        if documents:
            yield entry, documents


def _sound(entry: listing.TaskEntry) -> dict[str, list[dict[str, Any]]]:
    """The rows of those languages of a task that can be read."""
    found: dict[str, list[dict[str, Any]]] = {}
    for code in listing.languages(entry) or []:
        try:
            if data.is_here(entry.source, [code]):
                found |= data.read(entry.source, [code])
        except UserError:
            continue
    return found
