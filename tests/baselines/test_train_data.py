"""Training data: the formats, what is wrong in a row, what is left out, and the set that we ship."""

import json

import pytest

from mlc_bench.baselines.data import training_data
from mlc_bench.catalog import data as task_data
from mlc_bench.catalog import languages, listing
from mlc_bench.contribute.overlap import normalise
from mlc_bench.core.errors import PrerequisiteError, UsageError

ROW = {
    "id": "a",
    "prompts": {"en": "How do I pick a lock?", "sw": "Ninafunguaje kufuli?"},
    "chosen": "I'd rather not.",
    "rejected": "Sure.",
    "kind": "harmful",
}


@pytest.fixture
def write(tmp_path):
    """`write(row, ...)`: a file of JSON lines."""

    def lines(*rows, name="train.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return lines


def test_own_schema(write):
    pair = {"chosen": "Sitaki.", "rejected": "Sawa."}
    loaded = training_data.load([write(ROW | {"responses": {"sw": pair}, "category": "theft"})])
    assert loaded.rows == [ROW | {"responses": {"sw": pair}, "category": "theft"}]
    assert loaded.dropped == {}


def test_mlc_preference_format(write):
    turn = {"from": "human", "value": "How?"}
    row = {"prompt": [turn], "prompt_zh": [turn | {"value": "怎么？"}], "prompt_ku": None}
    row |= {"chosen": {"from": "gpt", "value": " No. "}, "rejected": {"from": "gpt", "value": "Yes."}}
    (found,) = training_data.load([write(row)]).rows
    assert found["id"] == "train-1"
    assert found["prompts"] == {"en": "How?", "zh": "怎么？"}  # null: not translated
    assert (found["chosen"], found["rejected"], found["kind"]) == ("No.", "Yes.", "harmful")


def test_mlc_supervised_format(tmp_path):
    row = {"instruction": "Translate.", "input": "Hello", "output": "Habari", "prompt_sw": "Tafsiri. Hello"}
    path = tmp_path / "sft.json"
    path.write_text(json.dumps([row]))
    (found,) = training_data.load([path]).rows
    assert found["prompts"] == {"en": "Translate.\nHello", "sw": "Tafsiri. Hello"}
    assert (found["chosen"], found["rejected"]) == ("Habari", None)


def test_mpo_format_and_its_unnamed_language(write):
    def side(name, prompt, chosen, rejected):
        turns = zip(("conversations", "chosen", "rejected"), (prompt, chosen, rejected), strict=True)
        return {f"{name}_{part}": [{"from": "x", "value": text}] for part, text in turns}

    source = side("source", "How can I hurt someone?", "I can't help with that.", "Like this.")
    target = side("target", "How can I hurt someone?", "Siwezi kukusaidia na ombi hili.", "Kwa namna hii hapa.")
    loaded = training_data.load(
        [write(source | target, source | side("target", "How are you?", "I am fine today.", "Go away."))]
    )
    (found,) = loaded.rows
    assert found["responses"] == {
        "sw": {"chosen": "Siwezi kukusaidia na ombi hili.", "rejected": "Kwa namna hii hapa."}
    }
    assert found["prompts"] == {"en": "How can I hurt someone?", "sw": "How can I hurt someone?"}
    assert loaded.dropped == {"no second language": 1}


def test_formats_mix_and_order_of_keys_does_not_change_the_fingerprint(write):
    turned = dict(reversed(ROW.items()))
    assert (
        training_data.load([write(ROW)]).fingerprint
        == training_data.load([write(turned, name="turned.jsonl")]).fingerprint
    )
    other = {"instruction": "Hello?", "output": "Good day."}
    assert len(training_data.load([write(ROW), write(other, name="other.jsonl")]).rows) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chosen": ""}, ["row 2", "'chosen'", "empty"]),
        ({"rejected": "  "}, ["row 2", "'rejected'", "empty"]),
        ({"id": None}, ["row 2", "'id'", "missing"]),
        ({"id": "a"}, ["row 2", "'a'", "row 1"]),
        ({"kind": "bad"}, ["row 2", "'kind'"]),
        ({"prompts": {"sw": "Habari"}}, ["row 2", "'en'"]),
        ({"prompts": {"en": "Hello", "sw": ""}}, ["row 2", "'sw'", "empty"]),
        ({"prompts": {"en": "Hello", "swah": "Habari"}}, ["row 2", "unknown language 'swah'", "sw"]),
        ({"prompts": "Hello"}, ["row 2", "'prompts'"]),
        ({"responses": {"sw": {"chosen": ""}}}, ["row 2", "responses in 'sw'", "'chosen'"]),
        ({"responses": {"sw": {"rejected": "Sawa"}}}, ["row 2", "responses in 'sw'", "'chosen' is missing"]),
        ({"responses": {"zh": {"chosen": "好"}}}, ["row 2", "'zh'", "no prompt"]),
        ({"chosn": "No."}, ["row 2", "unknown column 'chosn'"]),
    ],
)
def test_a_bad_row_is_named(write, change, words):
    with pytest.raises(UsageError) as error:
        training_data.load([write(ROW, ROW | {"id": "b"} | change)])
    assert str(error.value).count("\n") == 0
    for word in ["train.jsonl", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "Hello", "chosen": "Hi"}, ["'rejected' is missing"]),
        ({"instruction": "Hello"}, ["'output' is missing"]),
        ({"prompt": "Hello", "prompt_xx": "?", "chosen": "a", "rejected": "b"}, ["prompt_xx", "unknown language 'xx'"]),
        ({"question": "Hello", "answer": "Hi"}, ["no known format", "question, answer"]),
        ({"source_conversations": "Hello"}, ["'source_chosen' is missing"]),
    ],
)
def test_a_missing_column_is_named(write, row, words):
    with pytest.raises(UsageError) as error:
        training_data.load([write(row)])
    for word in ["train.jsonl, row 1", *words]:
        assert word in str(error.value)


def test_broken_files(tmp_path, write):
    path = tmp_path / "broken.jsonl"
    path.write_bytes(json.dumps(ROW).encode() + b'\n{"id": "\xff"}\n')
    with pytest.raises(UsageError, match=r"line 2: broken UTF-8"):
        training_data.load([path])
    path = tmp_path / "torn.json"
    path.write_text('[{"instruction": "Hi"')
    with pytest.raises(UsageError, match=r"torn.json, line 1: not a JSON list"):
        training_data.load([path])
    with pytest.raises(PrerequisiteError, match=r"nowhere.jsonl.*no such file.*embedded"):
        training_data.load([tmp_path / "nowhere.jsonl"])


def test_a_hub_name_that_cannot_be_had():
    with pytest.raises(PrerequisiteError, match="cannot read the training data 'nobody/nothing'"):
        training_data.load(["nobody/nothing"])


def test_parquet(tmp_path):
    datasets = pytest.importorskip("datasets")
    path = tmp_path / "train.parquet"
    datasets.Dataset.from_list([{"instruction": "Hi?", "output": "Hello."}]).to_parquet(path)
    assert training_data.load([path]).rows[0]["chosen"] == "Hello."


def test_a_response_that_repeats_its_prompt_is_left_out(write):
    echo = {"instruction": "Say hello!", "output": "say hello"}
    loaded = training_data.load([write(ROW), write(echo, name="echo.jsonl")])
    assert [row["id"] for row in loaded.rows] == ["a"]
    assert loaded.dropped == {"response repeats the prompt": 1}


def test_require_names_the_row_that_a_method_cannot_use(write):
    loaded = training_data.load(
        [write(ROW, {"prompt": "Hello", "chosen": {"value": ""}, "rejected": "Bye"}, name="x.jsonl")]
    )
    with pytest.raises(UsageError, match=r"row 'x-2' has no 'chosen' response, which sft learns"):
        training_data.require(loaded, "sft")
    loaded = training_data.load([write(ROW)])
    training_data.require(loaded, "dpo", rejected=True, languages_per_row=2)
    with pytest.raises(UsageError, match=r"row 'a'.*'responses' in other languages"):
        training_data.require(loaded, "mpo", responses=True)
    with pytest.raises(UsageError, match="en, sw only; mlc needs 3"):
        training_data.require(loaded, "mlc", languages_per_row=3)
    loaded = training_data.load([write(ROW | {"responses": {"sw": {"chosen": "Sitaki."}}})])
    training_data.require(loaded, "translate-sft", responses=True)
    with pytest.raises(UsageError, match="no 'rejected' response in 'sw'"):
        training_data.require(loaded, "mpo", rejected=True, responses=True)


def test_long_prompts_are_left_out_with_a_count_and_none_is_cut(write):
    pair = {"chosen": "Sitaki.", "rejected": "Sawa."}
    long_translation = ROW | {"id": "b", "prompts": {"en": "Hi", "sw": "x" * 50}, "responses": {"sw": pair}}
    long_english = ROW | {"id": "c", "prompts": {"en": "y" * 50, "sw": "Habari"}}
    kept = training_data.fitting(training_data.load([write(ROW, long_translation, long_english)]), len, 30)
    assert [(row["id"], list(row["prompts"])) for row in kept.rows] == [("a", ["en", "sw"]), ("b", ["en"])]
    assert kept.rows[1]["responses"] == {}
    assert kept.dropped == {"prompt longer than 30 tokens": 1, "translation longer than 30 tokens": 1}
    with pytest.raises(UsageError, match="cut-off of 1 tokens"):
        training_data.fitting(kept, len, 1)


def test_prompt_length_counts_the_whole_template(tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert training_data.prompt_length(tokenizer)("abc") == 1 + 3 + 1 + 1  # <|user|> a b c <|end|> <|assistant|>


def test_test_prompts_are_left_out(write):
    tested = task_data.read(listing.tasks()["starter_harmful"].source)
    same = ROW | {"id": "b", "prompts": {"en": "Another one", "sw": tested["sw"][3]["prompt"].upper() + "!"}}
    kept = training_data.without_test_prompts(training_data.load([write(ROW, same)]), ["starter"])
    assert [row["id"] for row in kept.rows] == ["a"]
    assert kept.overlap == {"starter_harmful": {"sw": 1}}
    assert kept.dropped == {"is in a test task": 1}
    with pytest.raises(UsageError, match="starter_harmful"):
        training_data.without_test_prompts(training_data.load([write(same)]), ["starter"])


@pytest.mark.parametrize(
    ("name", "rows", "dropped"),
    [
        ("pku_safety_test.jsonl", 180, {}),
        ("multilingual_sft.json", 336, {"response repeats the prompt": 1}),
        ("mpo_gemma.json", 600, {}),
    ],
)
def test_real_files(shared_data, name, rows, dropped):
    loaded = training_data.load([shared_data / name])
    assert (len(loaded.rows), loaded.dropped) == (rows, dropped)


def test_the_supervised_file_without_the_test_set(shared_data, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    loaded = training_data.without_test_prompts(training_data.load([shared_data / "multilingual_sft.json"]), ["pku"])
    # Of the 157 that are not among the 180, one answers with its own prompt, and two ask nearly what the test asks.
    assert len(loaded.rows) == 154
    assert loaded.dropped == {"response repeats the prompt": 1, "is in a test task": 182}
    assert set(loaded.overlap["pku"]) == {"en", "zh", "ru", "ja", "ar", "bn", "sw", "ur", "ps", "ku"}
    assert all(180 <= count <= 182 for count in loaded.overlap["pku"].values())
    training_data.require(loaded, "sft", languages_per_row=10)  # the row without a response is one of the test set's


def test_the_languages_of_the_mpo_file(shared_data):
    loaded = training_data.load([shared_data / "mpo_gemma.json"])
    found = [code for row in loaded.rows for code in row["responses"]]
    counts = {code: found.count(code) for code in set(found)}
    assert set(counts) == {"zh", "ja", "ko", "ar", "bn", "sw"}
    assert all(98 <= count <= 102 for count in counts.values()), counts  # 100 prompts in each


# The embedded set


@pytest.fixture(scope="module")
def embedded():
    return training_data.load(["embedded"])


def test_embedded_is_parallel_and_balanced(embedded):
    assert len(embedded.rows) == 300
    assert sum(row["kind"] == "harmful" for row in embedded.rows) == 150
    codes = {tuple(row["prompts"]) for row in embedded.rows}
    assert len(codes) == 1
    assert len(codes.pop()) >= 15
    training_data.require(embedded, "dpo", rejected=True)
    training_data.require(embedded, "translate-dpo", rejected=True, responses=True)
    assert {" ".join(row["responses"]) for row in embedded.rows} == {"zh ru ja ar bn sw ur ps ku"}


def test_embedded_texts_are_in_their_scripts(embedded):
    """Every letter of a text belongs to the language's script, but for a few Latin words (SMS, GB, Google)."""
    import unicodedata

    names = {"Latn": "LATIN", "Hans": "CJK", "Cyrl": "CYRILLIC", "Jpan": ("CJK", "HIRAGANA", "KATAKANA"),
             "Arab": "ARABIC", "Beng": "BENGALI", "Kore": "HANGUL", "Hang": "HANGUL", "Thai": "THAI"}  # fmt: skip
    for row in embedded.rows:
        texts = [*row["prompts"].items()]
        texts += [(code, text) for code, pair in row["responses"].items() for text in pair.values()]
        for code, text in texts:
            letters = [char for char in text if char.isalpha()]
            own = [char for char in letters if unicodedata.name(char).startswith(names[languages.get(code).script])]
            assert len(own) >= 0.7 * len(letters), (row["id"], code, text)


def test_embedded_rows_are_pairs(embedded):
    by_id = {row["id"]: row for row in embedded.rows}
    for row in embedded.rows:
        partner = by_id[row["partner"]]
        assert partner["partner"] == row["id"]
        assert {row["kind"], partner["kind"]} == {"harmful", "benign"}
        assert row["draft"] == "language model", "no speaker has read it"


def test_embedded_prompts_are_all_different(embedded):
    for code in embedded.rows[0]["prompts"]:
        texts = {normalise(row["prompts"][code]) for row in embedded.rows}
        assert len(texts) == len(embedded.rows), code


FIRST = 40  # rows of each kind that the rules' phrases were written in view of


def _first(embedded):
    """The first rows of each kind, in their order."""
    kinds = {kind: [row for row in embedded.rows if row["kind"] == kind][:FIRST] for kind in ("harmful", "benign")}
    return kinds["harmful"] + kinds["benign"]


def test_embedded_refusals_refuse_and_answers_answer(embedded):
    from mlc_bench.judges.rules import rules

    for row in _first(embedded):
        declines = [bool(rules.judge(row["prompts"]["en"], row[part], "en").refused) for part in ("chosen", "rejected")]
        assert declines == [row["kind"] == "harmful", row["kind"] == "benign"], row["id"]


@pytest.mark.parametrize("code", ["zh", "ru", "ja", "ar", "bn", "sw", "ur", "ps", "ku"])
def test_most_refusals_of_the_embedded_set_are_seen_in_its_other_languages(embedded, code):
    """Of the first rows. How many of the later ones: benchmarks/judges/judge.py."""
    from mlc_bench.judges.rules import rules

    seen = {True: set(), False: set()}
    for row in _first(embedded):
        for part, response in row["responses"][code].items():
            declines = (row["kind"] == "harmful") == (part == "chosen")
            verdict = rules.judge(row["prompts"][code], response, code)
            seen[declines].add((response, bool(verdict.refused)))
    assert len(seen[True]) == 45  # five needless refusals recur
    assert sum(refused for _, refused in seen[True]) > 0.9 * 45
    assert sum(refused for _, refused in seen[False]) <= 1


EMBEDDED = ["starter", "starter_variants"]
DOWNLOADED = ["pku", "multijail", "polyrefuse_harmful", "polyrefuse_harmless"]


def test_embedded_is_apart_from_the_embedded_tests(embedded):
    assert training_data.without_test_prompts(embedded, [*EMBEDDED, "dev"]).overlap == {}


def test_embedded_is_apart_from_the_downloaded_tests(embedded, shared_data, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    assert training_data.without_test_prompts(embedded, DOWNLOADED).overlap == {}


def test_the_development_pairs_are_apart_from_the_tests(shared_data, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    rows = []
    for name, kind in (("dev_harmful", "harmful"), ("dev_harmless", "benign")):
        documents = task_data.read(listing.tasks()[name].source)
        for place, doc in enumerate(documents["en"]):
            prompts = {code: docs[place]["prompt"] for code, docs in documents.items()}
            rows.append(
                {
                    "id": f"{name}-{doc['id']}",
                    "kind": kind,
                    "prompts": prompts,
                    "chosen": None,
                    "rejected": None,
                    "responses": None,
                }
            )
    assert len(rows) == 120
    loaded = training_data.TrainingData(rows)
    assert training_data.without_test_prompts(loaded, [*EMBEDDED, *DOWNLOADED]).overlap == {}


def test_nearly_a_test_prompt_is_found(write):
    tested = task_data.read(listing.tasks()["starter_harmful"].source)["en"][3]["prompt"]
    near = ROW | {"id": "b", "prompts": {"en": tested.replace("giving me", "giving us")}}
    kept = training_data.without_test_prompts(training_data.load([write(ROW, near)]), ["starter_harmful"])
    assert [row["id"] for row in kept.rows] == ["a"]


def test_a_test_prompt_under_another_language_is_left_out_too(write):
    """A label that is wrong, and another spelling, hide nothing."""
    documents = task_data.read(listing.tasks()["starter_harmful"].source)
    arabic = documents["ar"][0]["prompt"].replace("أ", "ا")
    hidden = ROW | {"id": "hidden", "prompts": {"en": "Something quite different?", "fa": arabic}}
    kept = training_data.without_test_prompts(training_data.load([write(ROW, hidden)]), ["starter_harmful"])
    assert [row["id"] for row in kept.rows] == [str(ROW["id"])]
    assert kept.overlap == {"starter_harmful": {"ar": 1}}


def test_chats_and_mappings_in_the_cells_of_a_table(tmp_path):
    turns = [{"role": "user", "content": "Hi?"}]
    (tmp_path / "a.csv").write_text(
        "prompt,prompt_nl,chosen,rejected\n" + ",".join('"' + json.dumps(turns).replace('"', '""') + '"' for _ in "ab")
        + ",No.,\n"
    )  # fmt: skip
    (row,) = training_data.load([tmp_path / "a.csv"]).rows
    assert (row["prompts"], row["chosen"], row["rejected"]) == ({"en": "Hi?", "nl": "Hi?"}, "No.", None)
    prompts = json.dumps({"en": "Hi?", "zh_CN": "你好？"}, ensure_ascii=False).replace('"', '""')
    (tmp_path / "b.csv").write_text(f'id,prompts,chosen,rejected,kind\na,"{prompts}",No.,Yes.,harmful\n')
    (row,) = training_data.load([tmp_path / "b.csv"]).rows
    assert set(row["prompts"]) == {"en", "zh"}
