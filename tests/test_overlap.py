"""Test prompts in training data: found exactly, by spelling and nearly, in every form of training file."""

import json

import pytest
from helpers import check_failed, command
from hypothesis import given
from hypothesis import strategies as st

from mlc_bench import catalog, data, overlap
from mlc_bench.errors import UsageError

DOCS = data.read(catalog.tasks()["starter_harmful"].source)
ENGLISH = DOCS["en"][0]["prompt"]


def found(texts, task="starter_harmful"):
    return {code: counts for code, counts in overlap.report(texts)[task].items() if counts["overlapping"]}


def test_each_kind_counts_once_and_names_the_prompt():
    doc = next(doc for doc in DOCS["en"] if len(doc["prompt"].split()) >= 10)
    words = doc["prompt"].rstrip("?.").split()
    for kind, text in {
        "exact": doc["prompt"],
        "normalised": "  " + doc["prompt"].upper().replace(" ", "  ") + " !!",
        "near": " ".join([*words, "tomorrow"]),
    }.items():
        (counts,) = found({"en": [text]}).values()
        assert counts[kind] == 1, kind
        assert counts["overlapping"] == counts["exact"] + counts["normalised"] + counts["near"] == 1
        assert counts["ids"] == [doc["id"]]


def test_the_harmless_twin_of_a_prompt_is_no_overlap():
    """The harmless requests are in the words of the harmful ones: as near as other prompts come (17 of 600)."""
    twins = data.read(catalog.tasks()["starter_benign"].source)
    texts = {code: [doc["prompt"] for doc in docs] for code, docs in twins.items()}
    near = {code: counts["near"] for code, counts in overlap.report(texts)["starter_harmful"].items()}
    assert sum(near.values()) <= 0.03 * sum(len(docs) for docs in twins.values()), near


@pytest.mark.parametrize("code", ["zh", "ja", "th", "ko", "ar", "bn", "sw"])
def test_near_duplicates_in_scripts_with_and_without_spaces(code):
    doc = max(DOCS[code], key=lambda doc: len(doc["prompt"]))
    changed = doc["prompt"][:-3] + doc["prompt"][-1]  # two characters lost
    assert found({code: [changed]})[code]["ids"] == [doc["id"]]


def test_another_language_is_another_text():
    assert found({"sw": [ENGLISH], overlap.UNKNOWN: [SWAHILI]}) == found({"sw": [SWAHILI]})


def test_nothing_to_compare():
    assert found({}) == {}
    assert found({"en": [], "sw": ["", "?"]}) == {}
    assert set(overlap.report({})["starter_harmful"]) == set(DOCS)


TURN = [{"from": "human", "value": ENGLISH}, {"from": "gpt", "value": "No."}]
SWAHILI = DOCS["sw"][0]["prompt"]
FORMS = {
    "ours": {"id": 1, "prompts": {"en": ENGLISH, "sw": SWAHILI}, "chosen": "No.", "rejected": "Yes."},
    "MLC for DPO": {"prompt": TURN, "prompt_sw": [{"from": "human", "value": SWAHILI}], "chosen": {"from": "gpt"}},
    "MLC for SFT": {"instruction": ENGLISH, "input": "", "output": "No.", "prompt_sw": SWAHILI},
    "MPO": {"source_conversations": TURN, "target_conversations": [{"from": "human", "value": SWAHILI}]},
    "chat turns": {"messages": [{"role": "user", "content": ENGLISH}, {"role": "user", "content": SWAHILI}]},
    "any texts": {"a": {"b": [ENGLISH, 5, None]}, "c": SWAHILI},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_list", [True, False])
def test_forms_of_training_files(form, as_list, tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps([FORMS[form]] if as_list else FORMS[form]) + "\n")
    texts = overlap.read(path)
    if set(texts) == {overlap.UNKNOWN}:
        assert set(texts[overlap.UNKNOWN]) == {ENGLISH, SWAHILI}
    else:
        assert texts["en"] == [ENGLISH]
        assert texts.get("sw", texts.get(overlap.UNKNOWN)) == [SWAHILI]


BAD = {
    "absent": (None, "there is no file"),
    "not JSON": (b"{oops\n", "line 1: not JSON"),
    "half a list": (b"[{}", "not a JSON list"),
    "a list of texts": (b'["a"]', "a list of JSON objects"),
    "an endless list": (b"[" * 100000, "not a JSON list"),
    "other bytes": (b"\xff\xfe", "UTF-8"),
    "no texts": (b'{"id": "a"}\n', "has no text"),
    "empty": (b"", "has no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_training_files(name, tmp_path):
    content, words = BAD[name]
    path = tmp_path / "train.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        overlap.read(path)


def test_the_command(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(FORMS["ours"]) + "\n")
    done = command("tasks", "overlap", path, "--json")
    assert json.loads(done.stdout)["starter_harmful"]["sw"]["exact"] == 1
    assert "pku" in done.stderr, "what was not compared is named"
    done = command("tasks", "overlap", path)
    assert "starter_harmful  sw" in done.stdout
    check_failed(command("tasks", "overlap", tmp_path / "none"), 2, "there is no file")


def test_the_published_training_set_holds_the_test_set(shared_data, monkeypatch):
    """MLC's published SFT data: 337 rows, among them all 180 test prompts, in all ten languages."""
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    found = overlap.report(overlap.read(shared_data / "multilingual_sft.json"))
    assert set(found["mgsm"]) == {"bn", "en", "ja", "ru", "sw", "zh"}, "of a task with a file each, those that are here"
    assert "mgsm (de es fr te th)" in overlap.unchecked()
    assert "pku" not in overlap.unchecked()
    counts = found["pku"]
    assert len(counts) == 10
    assert {(one["prompts"], one["exact"]) for one in counts.values()} == {(180, 180)}


@given(st.text(max_size=40), st.text(max_size=40))
def test_similarity_is_symmetric_and_one_for_the_same(one, other):
    for spaced in (True, False):
        a, b = (overlap.shingles(overlap.normalise(text), spaced) for text in (one, other))
        assert overlap.jaccard(a, b) == overlap.jaccard(b, a)
        assert overlap.jaccard(a, a) == 1
        assert overlap.normalise(overlap.normalise(one)) == overlap.normalise(one)
