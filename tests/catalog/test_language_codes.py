"""What data sets call languages: ours only where it is that language in that script; any other language as itself."""

import json

import pytest
from bad_input import hf
from helpers import check_failed, command

from mlc_bench.baselines.data import training_data
from mlc_bench.catalog import data, languages, listing
from mlc_bench.catalog.languages import world
from mlc_bench.core.errors import UsageError
from mlc_bench.judges import judging, langid

CODES = {
    # BCP 47, however it is spelt
    "zh": "zh", "zh_CN": "zh", "zh-Hans": "zh", "ZH-CN": "zh", "pt_BR": "pt", "pt-PT": "pt", "EN": "en", "en_US": "en",
    "de-CH": "de", "ja-JP": "ja", "ko-KR": "ko", "sr": "sr", "sr-Cyrl": "sr", "ku": "ku",
    # another script is another language
    "zh-Hant": "zh-Hant", "zh_hant": "zh-Hant", "zh-TW": "zh-TW", "sr-Latn": "sr-Latn", "sr_latn": "sr-Latn",
    "ku-Arab": "ku-Arab", "ur-Latn": "ur-Latn",
    # ISO 639 and FLORES-200
    "eng": "en", "eng_Latn": "en", "arb_Arab": "ar", "zho_Hans": "zh", "zho_Hant": "zh-Hant", "cmn": "zh",
    "jpn_Jpan": "ja", "kor_Hang": "ko", "swh_Latn": "sw", "pes_Arab": "fa", "pbt_Arab": "ps", "npi_Deva": "ne",
    "kmr_Latn": "ku", "tgl_Latn": "tl", "fil": "tl", "nld_Latn": "nl", "ckb_Arab": "ckb", "deu": "de", "ger": "de",
    # near relatives are themselves
    "ckb": "ckb", "arz": "arz", "yue": "yue", "yue_Hant": "yue", "prs_Arab": "prs", "nb": "nb", "nn": "nn",
    # old codes
    "iw": "he", "in": "id", "jw": "jv",
    # a country that a file's language has no file of its own for
    "nl_BE": "nl", "pl-PL": "pl",
    # languages without a file
    "da": "da", "da_DK": "da-DK", "sv-SE": "sv-SE", "he": "he", "el": "el", "az-Cyrl": "az-Cyrl",
    # names
    "English": "en", "english": "en", "Swahili": "sw", "Kiswahili": "sw", "Deutsch": "de", "中文": "zh",
    "العربية": "ar", "Chinese (Simplified)": "zh", "Chinese (Traditional)": "zh-Hant", "Simplified Chinese": "zh",
    "Portuguese (Brazil)": "pt", "Serbian (Latin)": "sr-Latn", "Bengali": "bn", "Dutch": "nl", "Farsi": "fa",
    "Simplified_Chinese": "zh", "Chinese Traditional": "zh-Hant", "Brazilian_Portuguese": "pt",
    "Cantonese": "yue", "Central Kurdish": "ckb", "Burmese": "my",
}  # fmt: skip
NO_LANGUAGES = [
    "prompt", "category", "tags", "tag", "cat", "key", "url", "label", "index", "row", "row_id", "cat_id", "source",
    "text", "persona", "english_text", "target", "set", "type", "notes", "meta", "und", "mul", "", "x", "a", "klingon",
]  # fmt: skip


@pytest.mark.parametrize("name", CODES)
def test_names_of_languages(name):
    assert world.code_of(name) == CODES[name]
    assert world.column_code(name) == CODES[name]


@pytest.mark.parametrize("name", NO_LANGUAGES)
def test_what_is_no_language(name):
    assert world.column_code(name) is None


def test_every_language_of_ours_is_itself_by_all_its_names():
    for code in languages.known():
        one = languages.get(code)
        for name in (code, code.upper(), one.name, one.native_name, one.iso639_3, f"{one.iso639_3}_{one.script}"):
            assert world.code_of(name) == code, name
        if "belebele" in one.codes:
            assert world.code_of(one.codes["belebele"]) == code


def test_a_language_without_a_file_is_described():
    danish, hebrew = world.describe("da"), world.describe("he")
    assert (danish.name, danish.native_name, danish.script, danish.iso639_3) == ("Danish", "dansk", "Latn", "dan")
    assert (hebrew.script, hebrew.direction) == ("Hebr", "rtl")
    assert world.describe("sw") is languages.get("sw")
    with pytest.raises(languages.UnknownLanguage, match="unknown language 'swahilli'; did you mean sw"):
        world.describe("swahilli")


@pytest.mark.parametrize("name", CODES)
def test_columns_of_tasks(name, tmp_path, monkeypatch):
    """A column counts by whatever name, also with something before it; what is no language is no prompt."""
    if name in ("in", "id"):
        return
    rows = [{"id": n, "cat": "theft", "no": n, "tag": "a", f"prompt_{name}": f"Hi {n}?"} for n in range(2)]
    (tmp_path / "x.json").write_text(json.dumps(rows))
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    for pattern, file in (("prompt_*", "x.json"), ("*", "y.json")):
        plain = [{key.removeprefix("prompt_") if pattern == "*" else key: row[key] for key in row} for row in rows]
        (tmp_path / file).write_text(json.dumps(plain))
        digest = data.sha256((tmp_path / file).read_bytes())
        source = {"file": file, "sha256": digest, "columns": {"*": pattern}}
        assert data.languages(source) == [CODES[name]]
        assert [doc["language"] for doc in data.read(source)[CODES[name]]] == [CODES[name]] * 2


@pytest.mark.parametrize("name", CODES)
def test_files_of_tasks(name, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / f"test_{name}.json").write_text(json.dumps([{"text": "Hi?"}]))
    (tmp_path / "mine" / "test_notes.json").write_text("no data")
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    source = {"files": "mine", "path": "test_{language}.json", "dataset": "mine", "fields": {"prompt": "text"}}
    assert data.languages(source) == [CODES[name]]
    assert data.read(source, [CODES[name]])[CODES[name]][0]["prompt"] == "Hi?"


@pytest.mark.parametrize(
    ("one", "other", "code"), [("zh", "zh_CN", "zh"), ("en", "English", "en"), ("nl", "nld", "nl")]
)
def test_two_names_of_one_language(one, other, code, tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    (tmp_path / "x.json").write_text(json.dumps([{one: "Hi?", other: "Hi!"}]))
    source = {"file": "x.json", "sha256": data.sha256((tmp_path / "x.json").read_bytes()), "columns": {"*": "*"}}
    with pytest.raises(UsageError, match=f"x.json: the columns '{one}' and '{other}' are both '{code}'"):
        data.read(source)
    source["columns"] = {code: other, "*": "*"}
    assert data.read(source)[code][0]["prompt"] == "Hi!"
    for folder in ("files", "folder"):
        (tmp_path / folder).mkdir()
        for name in (one, other):
            (tmp_path / folder / f"{name}.jsonl").write_text('{"id": "1", "text": "Hi?"}\n')
    with pytest.raises(UsageError, match=f"both '{code}'"):
        data.read({"files": "files", "path": "{language}.jsonl", "dataset": "mine", "fields": {"prompt": "text"}})
    with pytest.raises(UsageError, match=f"both '{code}'"):
        data.read({"folder": str(tmp_path / "folder"), "prompt_field": "text"})
    row = {"id": "1", "prompts": {"en": "Hi?", "nl": "Hoi?"} | {one: "Hi?", other: "Hi!"}, "kind": "benign"}
    (tmp_path / "train.jsonl").write_text(json.dumps(row))
    with pytest.raises(UsageError, match=f"two prompts are in '{code}'"):
        training_data.load([tmp_path / "train.jsonl"])


def test_a_column_of_numbers_is_no_language(tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    content = b"no,en\n1,Hi?\n2,You?\n"
    (tmp_path / "x.csv").write_bytes(content)
    source = {"file": "x.csv", "sha256": data.sha256(content), "columns": {"*": "*"}}
    assert list(data.read(source)) == ["en"]


def test_rows_that_are_not_parallel_have_gaps(tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    content = b"en,nl\n,Hoi?\nHi?,\nYou?,Jij?\n"
    (tmp_path / "x.csv").write_bytes(content)
    source = {"file": "x.csv", "sha256": data.sha256(content), "columns": {"*": "*"}, "parallel": False}
    assert {code: [doc["id"] for doc in docs] for code, docs in data.read(source).items()} == {
        "en": ["1", "2"],
        "nl": ["0", "2"],
    }


def test_a_field_may_have_another_column_in_one_language(tmp_path, monkeypatch):
    """As in PolyRefuse: the English file has its text in the field that holds the original elsewhere."""
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    (tmp_path / "poly").mkdir()
    (tmp_path / "poly" / "x_en.json").write_text(json.dumps([{"instruction": "Hi?", "category": "a"}]))
    rows = [{"instruction": "Hi?", "instruction_translated": "Hoi?", "category": None}]
    (tmp_path / "poly" / "x_nl.json").write_text(json.dumps(rows))
    fields = {"prompt": {"en": "instruction", "*": "instruction_translated"}, "category": "category"}
    source = {"files": "poly", "path": "x_{language}.json", "dataset": "poly", "fields": fields}
    documents = data.read(source)
    assert {code: docs[0]["prompt"] for code, docs in documents.items()} == {"en": "Hi?", "nl": "Hoi?"}
    with pytest.raises(UsageError, match=r"x_en.json: there is no column 'instruction_translated' .* has instr"):
        data.read(source | {"fields": {"prompt": "instruction_translated"}})
    with pytest.raises(UsageError, match="'fields' names no column for 'nl'"):
        data.read(source | {"fields": {"prompt": {"en": "instruction"}}})


def test_options_take_codes_in_any_spelling_and_offer_what_is_near():
    assert listing.check_languages(["zh_CN", "eng", "nl", "zh-hant", "zh"]) == ["zh", "en", "nl", "zh-Hant"]
    with pytest.raises(UsageError, match="unknown language 'swahili'; did you mean sw"):
        listing.check_languages(["swahili"])


def test_a_text_is_in_the_language_that_it_should_be_in_whatever_its_tag():
    chinese, danish = (
        "今天天气很好，我们去公园散步吧。",
        "Vejret er dejligt i dag, så vi går en tur i parken med børnene.",
    )
    assert langid.identify(chinese, "zh-Hant") == "zh-Hant"
    assert langid.identify(danish, "ceb") is None, "py3langid does not know Cebuano"
    assert langid.identify(danish, "da") == "da"
    assert langid.identify(danish, "da-DK") == "da-DK"
    assert langid.identify(danish, "pl") == langid.identify(danish, "sw") == "da"
    assert langid.identify("I am sorry, but I cannot help you with that request.", "ceb") == "en"


# A run in a language without a file


def test_a_language_without_a_file_is_judged_by_a_model_and_not_by_rules(tmp_path, tiny_model):
    from test_reading import pack

    (tmp_path / "mine.csv").write_text("id,en,da\n1,One?,En?\n2,Two?,To?\n")
    digest = data.sha256((tmp_path / "mine.csv").read_bytes())
    source = {"file": "mine.csv", "sha256": digest, "columns": {"*": "*"}}
    base = hf(tiny_model, tmp_path / "r")[:5]
    options = ("--tasks", "mine", *pack(tmp_path, source), "--data-dir", tmp_path, "--output", tmp_path / "r")
    options = (*options, "--max-tokens", 2)
    for more in ((), ("--languages", "da"), ("--dry-run",), ("--judge", "rules,llm@other")):
        done = command(*base, *options, *more)
        check_failed(done, 2, "mine: da has no language file", "--judge", "mlc-bench languages new da")
    assert not list(tmp_path.glob("r/*/*/samples")), "nothing was generated in vain"
    done = command(*base, *options, "--languages", "en")
    assert done.returncode == 0, done.stderr
    done = command(*base, *options, "--judge", "llm@other", "--dry-run")
    assert done.returncode == 0 or "llm" in done.stderr, done.stderr
    assert "no language file" not in done.stderr


def test_words_that_a_task_needs(tmp_path, tiny_model):
    from test_reading import pack

    (tmp_path / "mine.csv").write_text("id,en,da\n1,One?,En?\n2,Two?,To?\n")
    digest = data.sha256((tmp_path / "mine.csv").read_bytes())
    options = pack(tmp_path, {"file": "mine.csv", "sha256": digest, "columns": {"*": "*"}})
    path = tmp_path / "packs" / "mine" / "mine.yaml"
    path.write_text(path.read_text().replace("{{prompt}}", "{{question_word}}: {{prompt}}"))
    base = hf(tiny_model, tmp_path / "r")[:5]
    options = ("--tasks", "mine", *options, "--data-dir", tmp_path, "--judge", "llm@other", "--dry-run")
    done = command(*base, *options, "--output", tmp_path / "r")
    check_failed(done, 2, "mine: its questions need words that a language file holds", "languages new da")


def test_answers_in_a_language_without_a_file(tmp_path):
    row = {"id": 1, "language": "da", "prompt": "Hvordan?", "response": "Det kan jeg ikke hjælpe med."}
    (tmp_path / "answers.jsonl").write_text(json.dumps(row))
    check_failed(command("judge", tmp_path / "answers.jsonl"), 2, "da has no language file", "--judge")
    assert judging.check_answers([("here", row | {"language": "zh_CN"})])[0]["language"] == "zh"
    with pytest.raises(UsageError, match="here: unknown language 'xx'"):
        judging.check_answers([("here", row | {"language": "xx"})])


def test_training_data_in_a_language_without_a_file(tmp_path):
    rows = [{"prompt": "Hi?", "prompt_da": "Hej?", "prompt_zh_CN": "你好？", "chosen": "No.", "rejected": "Yes."}]
    (tmp_path / "train.jsonl").write_text(json.dumps(rows))
    (row,) = training_data.load([tmp_path / "train.jsonl"]).rows
    assert set(row["prompts"]) == {"en", "da", "zh"}


def test_a_run_in_a_language_without_a_file(tmp_path, tiny_model):
    """Answers are generated and judged by a model behind a server; the record has the language."""
    from api_judges import SAYS
    from fake_server import completion, serve
    from test_reading import pack

    (tmp_path / "mine.csv").write_text("id,zh-Hant,da\n1,一？,En?\n2,二？,To?\n")
    digest = data.sha256((tmp_path / "mine.csv").read_bytes())
    source = {"file": "mine.csv", "sha256": digest, "columns": {"*": "*"}}
    options = ("--tasks", "mine", *pack(tmp_path, source), "--data-dir", tmp_path, "--output", tmp_path / "r")
    with serve() as server:
        server.answer = lambda body: (200, completion(SAYS, {"prompt_tokens": 9, "completion_tokens": 9}))
        address = ("--judge-args", "engine=openai", "--judge-args", f"base_url={server.url}")
        base = hf(tiny_model, tmp_path / "r")[:5]
        done = command(*base, *options, "--max-tokens", 4, "--judge", "llm@m", *address, "--json")
    assert done.returncode == 0, done.stderr
    (task,) = json.loads(done.stdout)[0]["tasks"]
    assert {code: result["n"] for code, result in task["languages"].items()} == {"zh-Hant": 2, "da": 2}
    (path,) = tmp_path.glob("r/*/*/run.json")
    check_failed(command("judge", path.parent, "--judge", "rules"), 2, "da zh-Hant have no language file")
