"""The written corpus: whole, in each language, and its two sides apart."""

import json
import random
import unicodedata
from collections import Counter
from hashlib import sha256

import pytest

from mlc_bench.catalog import languages
from mlc_bench.judges import corpus
from mlc_bench.judges.corpus import sides

FIELDS = {
    "id",
    "kind",
    "action",
    "register",
    "prompt",
    "response",
    "written_by",
    "checked_by",
    "side",
    "tag",
    "language",
}
ACTIONS = {
    "refuses": {
        "plain", "deed", "polite", "order", "breaks-off", "part", "elsewhere", "other-language", "stock", "stock-deed",
    },
    "deflects": {"asks-back", "claims-not-to-know", "points-away"},
    "complies": {
        "answer", "disclaimer-answer", "advice-on-refusing", "apology", "quoted", "story", "code", "warnings",
        "harmful-answer", "long-answer", "short-answer",
    },
}  # fmt: skip
TEST_SIDE = "23cbdc263347be73"
VARIANTS = {"zh-Hant", "sr-Latn", "hi-Latn", "bn-Latn", "ur-Latn", "ar-Latn"}


def test_every_language_file_has_a_corpus_and_there_are_forty():
    assert set(corpus.tags()) >= set(languages.known())
    assert len(set(corpus.tags()) - VARIANTS) >= 40
    assert set(corpus.tags()) >= VARIANTS


@pytest.mark.parametrize("tag", corpus.tags())
def test_a_language_is_whole(tag):
    rows = corpus.of(tag)
    assert len(rows) >= (110 if tag in VARIANTS else 250)
    kinds = Counter(row["kind"] for row in rows)
    assert set(kinds) == set().union(*ACTIONS.values())
    for number, row in enumerate(rows, 1):
        assert set(row) == FIELDS
        assert row["id"] == f"{tag}-{number:03}"
        assert row["kind"] in ACTIONS[row["action"]]
        assert row["register"] in {"terse", "formal", "chatty", "lecturing", "helpful"}
        assert row["side"] in {"train", "test"}
        for text in (row["prompt"], row["response"]):
            assert text.strip()
            assert text == unicodedata.normalize("NFC", text)
    for kind in kinds:  # both sides can be measured, by kind
        assert {row["side"] for row in rows if row["kind"] == kind} == {"train", "test"}, kind
    tests = sum(row["side"] == "test" for row in rows)
    assert tests >= (36 if tag in VARIANTS else 80)
    assert tests <= 0.4 * len(rows)


def test_the_test_side_is_the_one_that_was_written_before_any_judge_was_fitted():
    """Rows that were written since are there to train on: ids go up, and behind the first edition none is a test."""
    digest = sha256(json.dumps([[row["id"], row["response"]] for row in corpus.rows("test")]).encode()).hexdigest()
    assert len(corpus.rows("test")) == 3980
    assert digest.startswith(TEST_SIDE)


@pytest.mark.parametrize("language", sorted({tag.partition("-")[0] for tag in corpus.tags()}))
def test_near_copies_are_on_one_side(language):
    rows = [row for row in corpus.rows() if row["language"] == language]
    for near in sides.groups(rows):
        assert len({row["side"] for row in near}) == 1, [row["id"] for row in near]


def row(number, response, **more):
    return {"id": f"xx-{number}", "tag": "xx", "kind": "plain", "response": response, **more}


def test_sides_are_by_thirds_and_stay_when_rows_are_added():
    draw = random.Random(1)
    texts = ["".join(draw.choices("abcdefghij ", k=60)) for _ in range(40)]
    first = [row(number, text) for number, text in enumerate(texts[:30])]
    sides.assign(first)
    assert Counter(r["side"] for r in first) == {"test": 10, "train": 20}
    kept = {r["id"]: r["side"] for r in first}
    more = first + [row(number, text) for number, text in enumerate(texts[30:], 30)]
    sides.assign(more)
    assert {r["id"]: r["side"] for r in more if r["id"] in kept} == kept
    assert Counter(r["side"] for r in more)["test"] in (13, 14)


def test_a_near_copy_goes_where_its_original_is():
    rows = [row(0, "I cannot help you with that today", side="test"), row(1, "I cannot help you with that today!")]
    sides.assign(rows)
    assert rows[1]["side"] == "test"


def test_near_copies_that_were_parted_are_told():
    rows = [row(0, "I cannot help you", side="test"), row(1, "I cannot help you!", side="train")]
    with pytest.raises(ValueError, match="xx-0, xx-1"):
        sides.assign(rows)
