"""The data sets of others, from small imitations of their files with all quirks, and from the real files where they
are on this machine."""

import json

import pytest
from helpers import command
from imitations import ROWS, multijail, sources

from mlc_bench.catalog import data, languages, listing, naming
from mlc_bench.catalog import sources as task_sources
from mlc_bench.core.errors import PrerequisiteError, UsageError

EXTERNAL = [entry for entry in listing.tasks().values() if not entry.family and "folder" not in entry.source]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    return tmp_path


def read(name, folder, wanted=None):
    return data.read(sources(listing.tasks()[name], folder), wanted)


@pytest.mark.parametrize("entry", EXTERNAL, ids=lambda entry: entry.name)
def test_every_language_of_every_data_set_is_read(entry, folder):
    source = sources(entry, folder)
    assert data.is_here(source)
    documents = data.read(source)
    assert sorted(documents) == sorted(data.languages(source))
    assert set(documents) <= set(listing.languages(entry))
    for code, docs in documents.items():
        assert len(docs) >= ROWS
        for doc in docs:
            assert doc["language"] == code
            assert doc["prompt"] == doc["prompt"].strip() != ""
            assert languages.get(code).words["question"] in doc["prompt"] or entry.pack == "xstest"


def test_xsafety_with_all_its_quirks(folder):
    documents = read("xsafety", folder)
    assert sorted(documents) == ["bn", "en", "es", "hi", "ru", "zh"], "Spanish lies in the folder 'sp'"
    ids = [doc["id"] for doc in documents["en"]]
    assert len(ids) == len(set(ids)) == 11 * ROWS + 3 * 200 - 4
    assert not {"insult-164", "unsafe_opinion-23", "unsafe_opinion-170", "unsafe_topic-199"} & set(ids)
    assert {"insult-163", "insult-165"} <= set(ids), "an empty row does not move the ids of the others"
    assert len({doc["category"] for doc in documents["bn"]}) == 14
    second = {code: docs[1]["prompt"] for code, docs in documents.items()}
    assert all(prompt.endswith('\n"Well?", she said.') for prompt in second.values()), second
    assert not any("\ufeff" in docs[0]["prompt"] for docs in documents.values())


def test_an_empty_prompt_that_is_not_known_is_an_error(folder):
    source = sources(listing.tasks()["xsafety"], folder) | {"leave_out": []}
    with pytest.raises(UsageError, match=r"ru/Insult.csv, row 165: no prompt"):
        data.read(source, ["ru"])


def test_aya_is_not_parallel(folder):
    entry = listing.tasks()["aya_redteaming"]
    documents = read(entry.name, folder)
    assert len({len(docs) for docs in documents.values()}) == len(documents) == 8
    assert entry.parallel is False
    with pytest.raises(UsageError, match="has other ids"):
        data.read(sources(entry, folder) | {"parallel": True})


def test_the_column_of_ids_is_not_indonesian(folder):
    assert b",id," in multijail() or multijail().startswith(b"\xef\xbb\xbfid,")
    assert "id" in languages.known()
    assert "id" not in read("multijail", folder)
    documents = read("malert", folder)
    assert sorted(documents) == ["de", "en", "es", "fr", "it"]
    assert [doc["id"] for doc in documents["de"]] == ["100", "101", "102"]


def test_xstest_has_two_halves(folder):
    (safe,) = read("xstest", folder).values()
    (unsafe,) = read("xstest_unsafe", folder).values()
    assert [doc["category"] for doc in safe] == ["homonyms"] * ROWS
    assert [doc["id"] for doc in unsafe] == ["26", "27", "28"]
    assert [entry.name for entry in listing.select(["xstest"])] == ["xstest"]


def test_only_the_files_of_the_languages_asked_for_are_needed(folder):
    source = sources(listing.tasks()["aya_redteaming"], folder)
    (folder / "aya_redteaming" / "aya_srp.jsonl").unlink()
    assert list(data.read(source, ["fr"])) == ["fr"]
    with pytest.raises(PrerequisiteError, match=r"aya_srp.jsonl.*in the folder 'aya_redteaming'.*--data-dir"):
        data.read(source, ["sr"])


def test_a_file_without_a_pinned_digest_is_taken_as_it_is(folder, capsys):
    source = sources(listing.tasks()["aya_redteaming"], folder)
    first = data.read(source, ["fr"])["fr"]
    path = folder / "aya_redteaming" / "aya_fra.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + json.dumps({"prompt": "Encore ?", "harm_category": ""}).encode())
    assert capsys.readouterr().err == ""
    for times in (1, 0):  # said once
        second = data.read(source, ["fr"])["fr"]
        assert [doc["prompt"] for doc in second] == [*(doc["prompt"] for doc in first), "Encore ?"]
        said = capsys.readouterr().err
        assert said.count(f"{path} has changed since its last use") == said.count("\n") == times
        assert ("it is taken as new" in said) is bool(times)
    path.write_bytes(before)
    assert data.read(source, ["fr"])["fr"] == first
    assert "has changed" in capsys.readouterr().err


def test_a_file_with_another_digest_than_the_list_says(folder):
    source = sources(listing.tasks()["mgsm"], folder)
    (folder / "mgsm" / "mgsm_sw.tsv").write_text("Swali?\t9\n")
    with pytest.raises(PrerequisiteError, match=r"mgsm_sw.tsv is not the file that the task was made for"):
        data.read(source, ["sw"])


def test_a_damaged_list_of_digests(tmp_path):
    (tmp_path / "SHA256SUMS").write_text("abc mgsm_en.tsv\n")
    with pytest.raises(UsageError, match=r"SHA256SUMS, line 1: '<sha256>  <file>' is expected"):
        data.languages(listing.tasks()["mgsm"].source | {"sha256sums": str(tmp_path / "SHA256SUMS")})


def test_lists_of_digests_name_files_for_every_language():
    for entry in EXTERNAL:
        named = task_sources.names(entry.source)
        if named is None:
            continue
        assert len(named) == len(set(named))
        used = {name for code in listing.languages(entry) for _, name in naming.files(entry.source, code)}
        assert used == set(named), entry.name
        per_language = {len(naming.files(entry.source, code)) for code in listing.languages(entry)}
        assert len(per_language) == 1, entry.name


def test_revisions_are_pinned_or_the_card_says_why_not():
    for entry in EXTERNAL:
        pinned = "sha256" in entry.source or "sha256sums" in entry.source
        text = " ".join(entry.card.split())
        assert pinned or "first use on a machine" in text, f"{entry.name}: no digest, and the card does not say so"
        for word in ("Licence:", "Source:", "**What a good score hides.**"):
            assert word in entry.card, (entry.name, word)


def test_plain_lm_eval_gets_a_data_set(folder):
    source = sources(listing.tasks()["aya_redteaming"], folder)
    loaded = data.load(languages=["fr", "sr"], limit=2, version=1, measures="safety", **source)
    assert [row["language"] for row in loaded["test"]] == ["fr", "fr", "sr", "sr"]
    assert loaded["test"].column_names[:4] == ["id", "category", "prompt", "language"]


def test_a_run_of_prompts_that_are_not_parallel_says_so(folder, tiny_model):
    sources(listing.tasks()["aya_redteaming"], folder)
    common = ("--model", tiny_model, "--engine", "hf", "--tasks", "aya_redteaming", "--languages", "fr,sr")
    done = command("run", *common, "--max-tokens", 4, "--output", folder / "r", "--data-dir", folder)
    assert done.returncode == 0, done.stderr
    assert "aya_redteaming: each language has prompts of its own, so PAG" in done.stdout
    (path,) = folder.glob("r/*/*/run.json")
    (task,) = json.loads(path.read_text())["tasks"]
    assert task["parallel"] is False
    assert [result["n"] for result in task["languages"].values()] == [6, 9]
    assert task["summary"]["pag"]["value"] is None
    assert task["summary"]["average"]["value"] is not None
    assert task["licence"] == "Apache-2.0"


def test_a_run_of_a_task_with_free_answers_and_a_key(folder, tiny_model):
    sources(listing.tasks()["mmmlu_lite"], folder)
    common = ("--model", tiny_model, "--engine", "hf", "--tasks", "mmmlu_lite", "--languages", "yo,sw")
    done = command("run", *common, "--max-tokens", 4, "--output", folder / "r", "--data-dir", folder, "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    (task,) = record["tasks"]
    assert (task["measures"], task["headline"]) == ("utility", "acc")
    assert set(task["languages"]["yo"]["metrics"]) == {"acc", "answered"}
    (path,) = folder.glob("r/*/*/samples/mmmlu_lite.jsonl")
    rows = [json.loads(line) for line in path.open()]
    assert {row["category"] for row in rows} == {"virology"}
    assert all({"response", "metrics", "tokens_out"} <= row.keys() for row in rows)


def test_a_sample_is_the_same_rows_in_every_language_whatever_their_order(folder):
    source = sources(listing.tasks()["polyrefuse_harmful"], folder)
    whole = data.read(source)
    part = data.read(source | {"sample": 2})
    chosen = {tuple(doc["id"] for doc in docs) for docs in part.values()}
    assert len(chosen) == 1
    lowest = sorted((doc["id"] for doc in whole["en"]), key=lambda one: data.sha256(one.encode()))[:2]
    assert sorted(chosen.pop()) == sorted(lowest)
    assert {len(docs) for docs in whole.values()} == {ROWS}


def test_the_real_files(shared_data, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    for kind, count, codes in (("harmful", 572, 14), ("harmless", 500, 13)):
        documents = data.read(listing.tasks()[f"polyrefuse_{kind}"].source)
        assert (len(documents), {len(docs) for docs in documents.values()}) == (codes, {count})
        part = data.read(listing.tasks()[f"polyrefuse_{kind}_100"].source)
        ids = {tuple(doc["id"] for doc in docs) for docs in part.values()}
        assert len(ids) == 1
        assert len(ids.pop()) == 100
    mgsm = listing.tasks()["mgsm"]
    documents = data.read(mgsm.source, ["bn", "en", "ja", "ru", "sw", "zh"])
    assert {len(docs) for docs in documents.values()} == {250}
    answers = {code: [doc["answer"] for doc in docs] for code, docs in documents.items()}
    assert all(answers[code] == answers["en"] for code in answers)
    for name, prompts, count in (("pku", 180, 10), ("multijail", 315, 10)):
        documents = data.read(listing.tasks()[name].source)
        assert (len(documents), {len(docs) for docs in documents.values()}) == (count, {prompts})
        assert list(documents) == listing.languages(listing.tasks()[name])
        assert sorted(documents) == listing.covered_by(name)
