"""Which rows train and which test: python -m mlc_bench.judges.corpus.sides

Writes `side` into the rows that have none yet. A row keeps the side that it has. Rows whose answers are near copies
(character trigrams, Jaccard 0.5 or more) stay on one side, also across the files of one language; of what is left,
every third of each kind is a test row, in the order of a digest of its answer.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from mlc_bench.judges import corpus
from mlc_bench.judges.corpus import TEST, TRAIN, Row

NEAR = 0.5


def trigrams(text: str) -> frozenset[str]:
    """Runs of three characters of a text in lower case, its spaces made one; the text itself where it has fewer."""
    plain = " ".join(text.lower().split())
    return frozenset(plain[start : start + 3] for start in range(len(plain) - 2)) or frozenset([plain])


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared trigrams over all trigrams, 0 to 1 (Jaccard)."""
    return len(one & other) / len(one | other)


def groups(rows: list[Row]) -> list[list[Row]]:
    """The rows in groups: two rows whose answers are near copies are in one, directly or through others."""
    parts = [trigrams(row["response"]) for row in rows]
    group = list(range(len(rows)))
    for here in range(len(rows)):
        for there in range(here):
            smaller, larger = sorted((len(parts[here]), len(parts[there])))
            if smaller >= NEAR * larger and likeness(parts[here], parts[there]) >= NEAR:
                old, new = group[here], group[there]
                group = [new if number == old else number for number in group]
    found: dict[int, list[Row]] = defaultdict(list)
    for row, number in zip(rows, group, strict=True):
        found[number].append(row)
    return list(found.values())


def assign(rows: list[Row]) -> None:
    """Give each row of one language a side, in place. Raises ValueError where near copies already have both."""
    waiting: dict[tuple[str, str], list[list[Row]]] = defaultdict(list)
    for near in groups(rows):
        taken = {row["side"] for row in near if row.get("side")}
        if len(taken) > 1:
            raise ValueError(f"near copies on both sides: {', '.join(row['id'] for row in near)}")
        if taken:
            _set(near, taken.pop())
        else:
            waiting[near[0]["tag"], near[0]["kind"]].append(near)
    for (tag, kind), parts in waiting.items():
        parts.sort(key=lambda near: sha256(near[0]["response"].encode()).hexdigest())
        already = [row["side"] for row in rows if (row["tag"], row["kind"]) == (tag, kind) and row.get("side")]
        for near in parts:
            _set(near, TEST if 3 * already.count(TEST) <= len(already) else TRAIN)
            already += [near[0]["side"]] * len(near)


def _set(rows: Iterable[Row], side: str) -> None:
    for row in rows:
        row["side"] = side


def main() -> None:
    of_language: dict[str, list[Row]] = defaultdict(list)
    for tag in corpus.tags():
        of_language[tag.partition("-")[0]] += [dict(row) for row in corpus.of(tag)]
    for language, rows in of_language.items():
        assign(rows)
        for tag in {row["tag"] for row in rows}:
            own = [row for row in rows if row["tag"] == tag]
            text = "".join(
                json.dumps({k: v for k, v in row.items() if k not in ("tag", "language")}, ensure_ascii=False) + "\n"
                for row in own
            )
            (Path(__file__).parent / f"{tag}.jsonl").write_text(text, encoding="utf-8")
        print(language, len(rows), sum(row["side"] == TEST for row in rows))


if __name__ == "__main__":
    main()
