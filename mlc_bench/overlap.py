"""Test prompts that also stand in training data: word for word, but for spelling and spaces, or nearly so.

A test prompt is compared with training texts of its language and with those whose language is not known. It counts
once, under the closest of three kinds:

- `exact`: the same text;
- `normalised`: the same letters and digits, whatever the case, accents' composition, punctuation and spaces;
- `near`: a Jaccard similarity of shingles from `NEAR` on. Candidates come from MinHash with locality-sensitive hashing
  (Broder 1997; datasketch), and each is verified on the shingles themselves. Shingles are pairs of words, or three
  characters in scripts without spaces.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlc_bench import catalog, data, languages
from mlc_bench.errors import UsageError, UserError
from mlc_bench.judges.rules import UNSPACED

NEAR = 0.6  # one word of twelve replaced gives 0.69, two far from each other 0.47
PERMUTATIONS = 128
UNKNOWN = ""  # the language of texts whose language is not known
_SHORTEST = 8  # normalised characters; shorter texts ("yes") say nothing about overlap
_NOT_TEXT = {"id", "from", "role", "language", "lang", "category", "source", "split", "type", "model"}

Report = dict[str, dict[str, dict[str, Any]]]


def report(texts_by_language: Mapping[str, Iterable[str]]) -> Report:
    """`{task: {language: {"prompts", "overlapping", "exact", "normalised", "near", "ids"}}}` of training texts.

    All are counts of test prompts but `ids`, the sorted ids of those that overlap. `texts_by_language` maps our codes
    (`UNKNOWN` where the language is not known) to the training texts. Only tasks whose data are on this machine are
    compared: see `unchecked`.
    """
    training = {code: list(dict.fromkeys(texts)) for code, texts in texts_by_language.items()}
    indices: dict[str, Index] = {}
    found: Report = {}
    for entry, documents in _tests():
        for code, docs in documents.items():
            if code not in indices:
                indices[code] = Index([*training.get(code, []), *training.get(UNKNOWN, [])], code)
            kinds = {doc["id"]: kind for doc in docs if (kind := indices[code].kind(doc["prompt"]))}
            counts = {kind: sum(one == kind for one in kinds.values()) for kind in ("exact", "normalised", "near")}
            found.setdefault(entry.name, {})[code] = {
                "prompts": len(docs),
                "overlapping": len(kinds),
                **counts,
                "ids": sorted(kinds),
            }
    return found


def unchecked() -> list[str]:
    """What cannot be compared, since its data are not on this machine: tasks, some with the languages in question."""
    here = {entry.name: set(documents) for entry, documents in _tests()}
    found = []
    for name, entry in catalog.tasks().items():
        missing = sorted(set(catalog.languages(entry) or []) - here.get(name, set()))
        if name not in here:
            found.append(name)
        elif missing:
            found.append(f"{name} ({' '.join(missing)})")
    return found


def read(path: Path) -> dict[str, list[str]]:
    """Training texts by language (`UNKNOWN`: not said), from a file of JSON lines or one JSON list.

    Known forms, recognised row by row: `prompts: {code: text}`; MLC's `prompt` and `prompt_<code>` (chat turns) and
    `instruction`, `input`, `prompt_<code>`; MPO's `source_conversations` (English) and `target_conversations`. Of any
    other row all texts are taken, except names and roles. Raises UsageError for a file without rows or of another kind.
    """
    texts: dict[str, list[str]] = {}
    for row in _rows(path):
        for code, text in _texts(row):
            if text.strip():
                texts.setdefault(code, []).append(text.strip())
    if not texts:
        raise UsageError(f"{path} has no text in any of its rows")
    return texts


def _tests() -> Iterable[tuple[catalog.TaskEntry, dict[str, list[dict[str, Any]]]]]:
    """Each task with its rows by language, as far as they are here; lm-eval's own tasks get their data themselves."""
    for entry in catalog.tasks().values():
        try:
            documents = {} if entry.family else data.read_what_is_here(entry.source)
        except UserError:  # not the right file
            continue
        if documents:
            yield entry, documents


class Index:
    """Training texts of one language, for looking up test prompts."""

    def __init__(self, texts: list[str], code: str) -> None:
        self._spaced = languages.get(code).script not in UNSPACED
        self._exact = set(texts)
        self._normalised = {normalised for text in texts if (normalised := normalise(text))}
        self._shingles: list[frozenset[str]] = []
        self._known: set[str] = set()
        self._search: Any = None
        long_enough = [text for text in dict.fromkeys(map(normalise, texts)) if len(text) >= _SHORTEST]
        if long_enough:
            self._build(long_enough)

    def _build(self, normalised: list[str]) -> None:
        from datasketch import MinHash, MinHashLSH

        self._shingles = [shingles(text, self._spaced) for text in normalised]
        self._known = set().union(*self._shingles)
        self._search = MinHashLSH(threshold=NEAR - 0.1, num_perm=PERMUTATIONS)  # a margin: hashes only estimate
        encoded = [[shingle.encode() for shingle in one] for one in self._shingles]
        with self._search.insertion_session() as session:
            for number, hashes in enumerate(MinHash.generator(encoded, num_perm=PERMUTATIONS)):
                session.insert(number, hashes)

    def kind(self, prompt: str) -> str | None:
        """exact, normalised, near, or None where no training text is close to the prompt."""
        if prompt.strip() in self._exact:
            return "exact"
        normalised = normalise(prompt)
        if normalised in self._normalised:
            return "normalised"
        if self._search is None or len(normalised) < _SHORTEST:
            return None
        from datasketch import MinHash

        mine = shingles(normalised, self._spaced)
        if len(mine & self._known) < NEAR * len(mine):  # not even all texts together have enough of its shingles
            return None
        hashes = MinHash(num_perm=PERMUTATIONS)
        hashes.update_batch([shingle.encode() for shingle in mine])
        close = any(jaccard(mine, self._shingles[number]) >= NEAR for number in self._search.query(hashes))
        return "near" if close else None


def normalise(text: str) -> str:
    """Letters, marks and digits of a text in one spelling (NFKC, case folded), its words parted by one space."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join("".join(char if unicodedata.category(char)[0] in "LMN" else " " for char in folded).split())


def shingles(normalised: str, spaced: bool) -> frozenset[str]:
    """Pairs of neighbouring words, or runs of three characters; the whole text where it has fewer."""
    parts: Any = normalised.split() if spaced else normalised.replace(" ", "")
    size = 2 if spaced else 3
    if len(parts) <= size:
        return frozenset([normalised])
    joint = " " if spaced else ""
    return frozenset(joint.join(parts[start : start + size]) for start in range(len(parts) - size + 1))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared shingles over all shingles of two texts."""
    return len(one & other) / len(one | other)


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UsageError(f"there is no file '{path}'")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8 ({type(error).__name__}); save it as UTF-8") from None
    if not text.lstrip().startswith("["):
        return [row for _, row in data.read_json_lines(path)]
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: not a JSON list ({str(error)[:80]}); write a list of objects, or JSON lines"
        ) from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path}: a list of JSON objects is expected, at least one")
    return rows


def _texts(row: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """(language, text) of what a row asks; answers are left out where the form says which they are."""
    if isinstance(row.get("prompts"), dict):
        for code, text in row["prompts"].items():
            yield from ((_known(code), one) for one in _strings(text))
    elif "source_conversations" in row or "target_conversations" in row:
        yield from (("en", text) for text in _asked(row.get("source_conversations")))
        yield from ((UNKNOWN, text) for text in _asked(row.get("target_conversations")))
    elif "instruction" in row or any(key.startswith("prompt_") for key in row):
        yield from (("en", text) for text in _asked(row.get("prompt")))
        if isinstance(instruction := row.get("instruction"), str):
            extra = row.get("input")
            yield "en", instruction
            if isinstance(extra, str) and extra.strip():
                yield "en", f"{instruction}\n{extra}"
        for key, value in row.items():
            if key.startswith("prompt_"):
                yield from ((_known(key.removeprefix("prompt_")), text) for text in _asked(value))
    else:
        code = _known(row.get("language", row.get("lang", UNKNOWN)))
        yield from ((code, text) for text in _strings(row))


def _known(code: Any) -> str:
    return code if isinstance(code, str) and code in languages.known() else UNKNOWN


def _asked(value: Any) -> Iterable[str]:
    """What the user says: a text, or the user's turns of a chat in either common form."""
    if isinstance(value, str):
        yield value
    for turn in value if isinstance(value, list) else []:
        if isinstance(turn, dict) and turn.get("from", turn.get("role")) in ("human", "user", None):
            yield from _strings(turn)


def _strings(value: Any) -> Iterable[str]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            stack += one
        elif isinstance(one, dict):
            stack += [inner for key, inner in one.items() if key not in _NOT_TEXT]
