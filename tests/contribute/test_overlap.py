"""Test prompts in training data: found exactly, by spelling and nearly, in every form of training file."""

import json
import re
import unicodedata

import pytest
from helpers import check_failed, command
from hypothesis import given
from hypothesis import strategies as st

from mlc_bench.catalog import data, listing
from mlc_bench.contribute import overlap, similarity
from mlc_bench.core.errors import UsageError

DOCS = data.read(listing.tasks()["starter_harmful"].source)
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


def test_the_harmless_pair_of_a_prompt_is_no_overlap():
    """The harmless requests are in the words of the harmful ones: as near as other prompts come (17 of 600)."""
    partners = data.read(listing.tasks()["starter_benign"].source)
    texts = {code: [doc["prompt"] for doc in docs] for code, docs in partners.items()}
    near = {code: counts["near"] for code, counts in overlap.report(texts)["starter_harmful"].items()}
    assert sum(near.values()) <= 0.03 * sum(len(docs) for docs in partners.values()), near


@pytest.mark.parametrize("code", ["zh", "ja", "th", "ko", "ar", "bn", "sw"])
def test_near_duplicates_in_scripts_with_and_without_spaces(code):
    doc = max(DOCS[code], key=lambda doc: len(doc["prompt"]))
    changed = doc["prompt"][:-3] + doc["prompt"][-1]  # two characters lost
    assert found({code: [changed]})[code]["ids"] == [doc["id"]]


def test_a_wrong_label_hides_nothing():
    assert set(found({"sw": [ENGLISH], "en": [SWAHILI]})) == {"en", "sw"}


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
    assert re.search(r"starter_harmful +sw", done.stdout)
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
    a, b = (similarity.shingles(similarity.normalise(text)) for text in (one, other))
    assert similarity.jaccard(a, b) == similarity.jaccard(b, a)
    assert similarity.jaccard(a, a) == 1
    assert similarity.normalise(similarity.normalise(one)) == similarity.normalise(one)


# Spelling, script by script: each changed text is the same to a reader, and counts as `normalised`.

SPELLINGS = {
    "capitals": ("en", str.upper),
    "punctuation": ("en", lambda text: "«" + text.rstrip("?.") + "»…"),
    "spaces": ("en", lambda text: "\n".join(text.split())),
    "full width": ("en", lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)),
    "zero width": ("en", lambda text: "\u200b".join(text)),
    "accents apart": ("vi", lambda text: unicodedata.normalize("NFD", text)),
    "no accents": (
        "vi",
        lambda text: "".join(c for c in unicodedata.normalize("NFD", text) if c < "\u0300" or c > "\u036f"),
    ),
    "Arabic vowel signs": ("ar", lambda text: "\u064e".join(text)),
    "Arabic stretched": ("ar", lambda text: text.replace("ا", "ـا")),
    "forms of alef": ("ar", lambda text: text.replace("أ", "ا").replace("إ", "ا").replace("آ", "ا")),
    "final ya and ha": ("ar", lambda text: text.replace("ة", "ه").replace("ى", "ي")),
    "Persian letters": ("ar", lambda text: text.replace("ي", "ی").replace("ك", "ک")),
    "Arabic punctuation": ("ar", lambda text: text.replace("؟", "?").replace("،", " , ")),
    "presentation forms": ("ar", lambda text: text.replace("لا", "\ufefb")),
    "Urdu without marks of direction": ("ur", lambda text: "\u202b" + text + "\u202c"),
    "Chinese with spaces": ("zh", " ".join),
    "Chinese punctuation": ("zh", lambda text: text.replace("？", "?").replace("，", ",")),
    "Japanese half width": ("ja", lambda text: text.replace("ア", "ｱ").replace("ー", "ｰ") + "!"),
    "Thai with spaces": ("th", lambda text: text[:4] + " " + text[4:]),
    "Korean without spaces": ("ko", lambda text: text.replace(" ", "")),
    "Bengali with another full stop": ("bn", lambda text: text.rstrip("।?") + "."),
    "digits of another script": ("bn", lambda text: text + " "),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_spellings_of_every_script(name):
    code, change = SPELLINGS[name]
    texts = [doc["prompt"] for doc in DOCS[code]]
    changed = [change(text) for text in texts]
    assert set(found({overlap.UNKNOWN: changed})) == {code}
    counts = found({overlap.UNKNOWN: changed})[code]
    assert counts["exact"] + counts["normalised"] == len(texts)
    kept = [doc for doc, text in zip(DOCS[code], changed, strict=True) if doc["prompt"].strip() == text.strip()]
    assert counts["exact"] == len(kept)


def test_digits_of_every_script_are_one():
    assert similarity.normalise("১২ টি") == similarity.normalise("12 টি")
    assert similarity.normalise("٣ أسئلة") == similarity.normalise("3 اسئله")


# Shapes of training files: the prompt is found in every language, whatever holds it.


def shapes(code, text):
    turns = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]
    answer = {"role": "assistant", "content": "No."}
    return {
        "one column": {"text": text},
        "instruction": {"instruction": text, "output": "No."},
        "a column of the translation": {"instruction": "Something else", "instruction_translated": text},
        "question": {"question": text, "answer": "No."},
        "prompt, chosen, rejected": {"prompt": text, "chosen": "No.", "rejected": "Yes."},
        "messages": {"messages": [*turns, answer]},
        "conversations": {"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "No."}]},
        "chosen as a chat": {"chosen": [*turns, answer], "rejected": [*turns, answer]},
        "chosen as one text": {"chosen": f"\n\nHuman: {text}\n\nAssistant: No.", "rejected": ""},
        "a column a language": {"id": "x", code: text, "xx": "?"},
        "a column a language, by name": {f"prompt_{code}": text, "prompt": "Something else"},
        "a mapping": {"prompts": {"en": "Something else", code: text}},
        "a mapping of chats": {"prompts": {code: turns}},
        "a translation": {"translation": {"en": "Something else", code: text}},
        "a template": {"text": f"<|user|>\n{text}<|end|>\n<|assistant|>\nNo."},
        "Alpaca": {"text": f"### Instruction:\n{text}\n\n### Response:\nNo."},
        "Llama": {"text": f"<s>[INST] {text} [/INST] No.</s>"},
        "Gemma": {"text": f"<start_of_turn>user\n{text}<end_of_turn>\n<start_of_turn>model\nNo."},
        "a chat in a cell": {"messages": json.dumps([*turns, answer])},
        "language said": {"language": code, "input": text},
        "a wrong language said": {"language": "de", "input": text},
    }


@pytest.mark.parametrize("shape", shapes("sw", ""))
@pytest.mark.parametrize("code", ["ar", "sw", "zh"])
def test_shapes_of_training_files(shape, code, tmp_path):
    texts = [doc["prompt"] for doc in DOCS[code]][:5]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(shapes(code, text)[shape], ensure_ascii=False) + "\n" for text in texts))
    counts = found(overlap.read(path))
    assert {one: own["exact"] for one, own in counts.items()} == {code: 5}


def test_every_language_of_a_pack_of_ones_own(tmp_path):
    """Prompts in Arabic and Dutch that stand in a training file, which says nothing of languages."""
    texts = {
        "ar": [f"كيف أكسر القفل رقم {n} في البيت الكبير؟" for n in range(7)],
        "nl": ["Hoe breek ik het slot open?"],
    }
    for code, own in texts.items():
        path = tmp_path / "packs" / "mine" / "rows" / f"{code}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(own)))
    (tmp_path / "packs" / "mine" / "mine.yaml").write_text(
        "task: mine\ncustom_dataset: !function mlc_bench.data.load\n"
        "dataset_kwargs: {folder: mine/rows, prompt_field: text}\noutput_type: generate_until\n"
        "metadata: {version: 1, measures: safety, parallel: false}\n"
    )
    train = tmp_path / "train.csv"
    train.write_text("instruction,category\n" + "\n".join(f'"{text}",x' for own in texts.values() for text in own))
    done = command("tasks", "overlap", train, "--include", tmp_path / "packs", "--json")
    counts = json.loads(done.stdout)["mine"]
    assert {code: own["exact"] for code, own in counts.items()} == {"ar": 7, "nl": 1}
    done = command("tasks", "overlap", train, "--include", tmp_path / "packs")
    tables = done.stdout.split("\n\n")
    assert [line.split()[:4] for line in tables[0].splitlines()[1:]] == [
        ["mine", "ar", "7", "7"],
        ["mine", "nl", "1", "1"],
    ]
    assert {"ar", "nl", "sw", "zh"} <= {line[9:].split()[0] for line in tables[1].splitlines()[1:]}


def test_published_prompts_in_arabic_that_stand_in_a_training_file(shared_data, tmp_path, monkeypatch):
    path = shared_data / "polyrefuse" / "harmful_test_translated_ar.json"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    rows = json.loads(path.read_text())
    folder = tmp_path / "packs" / "mine"
    folder.mkdir(parents=True)
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    (folder / "mine.yaml").write_text(
        "task: mine\ncustom_dataset: !function mlc_bench.data.load\n"
        "dataset_kwargs: {files: polyrefuse, path: 'harmful_test_translated_{language}.json', dataset: polyrefuse,\n"
        "  fields: {prompt: {en: instruction, '*': instruction_translated}}}\n"
        "output_type: generate_until\nmetadata: {version: 1, measures: safety}\n"
    )
    train = tmp_path / "train.json"
    train.write_text(json.dumps([{"instruction": row["instruction_translated"]} for row in rows]))
    with listing.including([tmp_path / "packs"]):
        counts = overlap.report(overlap.read(train))["mine"]
    assert len(counts) == 14
    assert {code: own["overlapping"] for code, own in counts.items() if own["overlapping"]} == {"ar": len(rows)}
