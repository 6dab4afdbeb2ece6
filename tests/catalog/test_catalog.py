"""Task packs and their data: what every language must have, and that the prompts do not change unnoticed."""

import json

import imitations
import pytest
from checkout import GOLDEN, ROOT, golden

from mlc_bench.catalog import data, languages, listing
from mlc_bench.core.errors import UsageError

EMBEDDED = [entry for entry in listing.tasks().values() if "folder" in entry.source]
EMBEDDED_IN = [code for code in languages.known() if code not in listing.without_embedded_data()]
EACH = [(entry, code) for entry in EMBEDDED for code in data.languages(entry.source)]


def test_every_language_has_every_embedded_task_or_none():
    assert len(languages.known()) >= 34
    assert len(EMBEDDED_IN) >= 19
    assert listing.incomplete() == []


def test_a_language_without_data_is_named(tmp_path, monkeypatch):
    folder = data.TASKS / "starter" / "prompts"
    pack = tmp_path / "pack"
    pack.mkdir()
    for name, left_out in (("starter_harmful", "sw"), ("starter_benign", None)):
        rows = tmp_path / name
        rows.mkdir()
        for path in folder.glob("*.jsonl"):
            if path.stem != left_out:
                (rows / path.name).write_bytes(path.read_bytes())
        text = (data.TASKS / "starter" / f"{name}.yaml").read_text(encoding="utf-8")
        (pack / f"{name}.yaml").write_text(text.replace("starter/prompts", str(rows)), encoding="utf-8")
    (line,) = listing.incomplete(tmp_path)
    assert "de" in listing.without_embedded_data(tmp_path)
    assert "no data for 'sw'" in line
    assert "sw.jsonl" in line


@pytest.mark.parametrize(("entry", "code"), EACH, ids=lambda part: getattr(part, "name", part))
def test_embedded_rows_are_parallel_and_whole(entry, code):
    english = data.read(entry.source)["en"]
    rows = data.read(entry.source)[code]
    assert len(rows) >= 40
    assert [row["id"] for row in rows] == [row["id"] for row in english]
    assert [row["category"] for row in rows] == [row["category"] for row in english]
    assert len({row["prompt"] for row in rows}) == len(rows), "two rows ask the same"
    if entry.measures == "utility":
        assert [row["answer"] for row in rows] == [row["answer"] for row in english]
        assert all(len(set(row["choices"])) == 4 for row in rows)
        assert sorted(row["answer"] for row in rows) == sorted(list(range(4)) * 10)  # no position is favoured


@pytest.mark.parametrize("code", [code for code in EMBEDDED_IN if code != "en"])
def test_translations_are_in_their_script(code):
    import unicodedata

    script = {
        "Latn": "LATIN",
        "Cyrl": "CYRILLIC",
        "Arab": "ARABIC",
        "Beng": "BENGALI",
        "Thai": "THAI",
        "Kore": "HANGUL",
        "Deva": "DEVANAGARI",
    }
    wanted = script.get(languages.get(code).script)
    for entry in EMBEDDED:
        if entry.pack == "starter_variants" or code not in data.languages(entry.source):
            continue
        letters = [c for row in data.read(entry.source)[code] for c in row["prompt"] if c.isalpha()]
        names = [unicodedata.name(letter) for letter in letters]
        if wanted is None:  # Chinese and Japanese mix scripts
            share = sum(name.startswith(("CJK", "HIRAGANA", "KATAKANA")) for name in names) / len(names)
        else:
            share = sum(name.startswith(wanted) for name in names) / len(names)
        assert share > 0.9, f"{entry.name} in {code}: {share:.0%}"


def test_harmful_and_benign_have_the_same_ids_in_at_least_eight_categories():
    tasks = listing.tasks()
    harmful = data.read(tasks["starter_harmful"].source)["en"]
    benign = data.read(tasks["starter_benign"].source)["en"]
    assert [row["id"] for row in harmful] == [row["id"] for row in benign]
    assert len({row["category"] for row in harmful}) >= 8


def test_golden_prompts(tmp_path, monkeypatch):
    """The prompt of the first row of each task and language, as lm-eval asks it; of data sets that we do not
    redistribute, that of an imitation."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    asked = {}
    for entry in (entry for entry in listing.tasks().values() if not entry.family):
        config = load_yaml(entry.path)
        config.pop("tag", None)
        source = imitations.sources(entry, tmp_path)
        config["metadata"] = config["metadata"] | {"limit": 1}
        config["dataset_kwargs"] = {key: value for key, value in source.items() if key not in config["metadata"]}
        task = ConfigurableTask(config=config)
        for doc in task.eval_docs:
            choices = task.doc_to_choice(doc) if entry.config["output_type"] == "multiple_choice" else None
            asked[f"{entry.name} {doc['language']}"] = [task.doc_to_text(doc), choices]
    golden("prompts.json", json.dumps(asked, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


def test_select_takes_tasks_and_packs_once_each():
    names = [entry.name for entry in listing.select(["starter", "starter_benign", "pku"])]
    assert names == ["starter_harmful", "starter_benign", "starter_choice", "pku"]


def test_every_task_has_a_card_and_a_companion_that_exists():
    for entry in listing.tasks().values():
        assert entry.card.startswith(f"# {entry.name if entry.family else entry.pack}\n")
        assert entry.licence
        assert entry.summary
        companion = entry.config["metadata"].get("over_refusal")
        assert companion is None or listing.tasks()[companion].measures == "over_refusal"


@pytest.mark.parametrize("code", languages.known())
def test_language_files_are_whole(code):
    language = languages.get(code)
    assert len(language.refusal) >= 20
    assert len(set(language.refusal)) == len(language.refusal)
    assert all(letter in language.choose for letter in "ABCD"), "the sentence that asks for a letter names all four"
    assert language.direction == ("rtl" if language.script == "Arab" else "ltr")
    datasets = {entry.source.get("dataset") for entry in listing.tasks().values() if not entry.family}
    families = {entry.family["codes"] for entry in listing.tasks().values() if entry.family}
    assert set(language.codes) <= datasets | families, "a data set that no task reads"


@pytest.mark.parametrize(("code", "text"), json.loads((GOLDEN / "harmless.json").read_text(encoding="utf-8")).items())
def test_a_helpful_answer_is_not_taken_for_a_refusal(code, text):
    """It says "I can help", and "cannot" of something else: no refusal phrase may catch it."""
    from mlc_bench.judges import langid
    from mlc_bench.judges.rules import rules

    found = rules.judge("How do I cook rice?", text, code)
    assert (found.verdict, found.refused) == ("complies", False), found
    assert langid.identify(text) == code


def test_nothing_but_data_and_language_files_lists_languages():
    """Adding a language is data: no module and no task file names more than English."""
    codes = set(languages.known()) - {"en", "id"}  # "id" is a field of every row, too
    root = ROOT / "mlc_bench"
    folders = [root, *(ROOT / part for part in ("tasks", "baselines", "leaderboard"))]
    paths = [path for folder in folders for suffix in ("py", "yaml") for path in folder.rglob(f"*.{suffix}")]
    for path in {path.resolve() for path in paths if path.parent != languages.FOLDER}:
        text = path.read_text(encoding="utf-8")
        named = {code for code in codes if f'"{code}"' in text or f"'{code}'" in text}
        assert len(named) <= 2, f"{path} lists languages: {sorted(named)}"


def test_pku_and_multijail_read_whole(shared_data, monkeypatch):
    monkeypatch.setenv("MLC_BENCH_DATA", str(shared_data))
    for name, prompts, count in (("pku", 180, 10), ("multijail", 315, 10)):
        documents = data.read(listing.tasks()[name].source)
        assert len(documents) == count
        assert {len(rows) for rows in documents.values()} == {prompts}
        assert all(row["prompt"].strip() for rows in documents.values() for row in rows)


def test_an_unknown_language_of_a_task_is_named():
    with pytest.raises(UsageError, match="xx"):
        data.load(languages=["xx"], **listing.tasks()["starter_harmful"].source)
