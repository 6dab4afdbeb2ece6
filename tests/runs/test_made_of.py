"""A finished run is believed only where what it was made of is as it was; what has changed is said, and made anew."""

import json
import shutil
from pathlib import Path

import pytest
from helpers import command

from mlc_bench.catalog import data, listing, sources

STARTER = data.TASKS / "starter"


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A copy of the starter tasks in two languages with four rows each, in place of ours."""
    root = tmp_path / "tasks"
    others = shutil.ignore_patterns("[!es]*.jsonl", "es.jsonl", "e[!n]*.jsonl", "accepted.jsonl")
    shutil.copytree(STARTER, root / "starter", ignore=others)
    for folder in ("prompts", "choice"):
        for code in ("en", "sw"):
            path = root / "starter" / folder / f"{code}.jsonl"
            rows = (STARTER / folder / f"{code}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(rows[:4]), encoding="utf-8")
    monkeypatch.setattr(data, "TASKS", root)
    monkeypatch.setattr(listing.tasks, "__defaults__", (root,))
    monkeypatch.setattr(listing.select, "__defaults__", (root,))
    listing._read.cache_clear()
    data.forget()
    yield root / "starter"
    listing._read.cache_clear()
    data.forget()


def run(model, output, *more, task="starter_harmful"):
    done = command(
        "run", "--model", model, "--engine", "hf", "--tasks", task, "--max-tokens", "4", "--output", output, "--json",
        *more,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    return record, [line for line in done.stderr.splitlines() if line.startswith(task)]


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write(path, content):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content), encoding="utf-8")


def in_all(folder, change, codes=("en", "sw")):
    for code in codes:
        path = folder / f"{code}.jsonl"
        content = rows(path)
        change(content)
        write(path, content)


def in_one(code, number, **fields):
    return lambda folder: in_all(folder, lambda content: content[number].update(fields), [code])


def new_language(folder):
    write(folder / "fr.jsonl", [row | {"harmful": f"Fr {row['id']} ?"} for row in rows(folder / "en.jsonl")])


def add_row(folder):
    more = rows(STARTER / "prompts" / "en.jsonl")[4]
    for code in ("en", "sw"):
        write(folder / f"{code}.jsonl", [*rows(folder / f"{code}.jsonl"), more | {"harmful": f"{code} {more['id']}?"}])


def shout(content):
    for row in content:
        row["harmful"] += "!"


def everything(folder):
    new_language(folder)
    in_all(folder, lambda content: content.pop(0), ["en", "sw", "fr"])
    in_all(folder, lambda content: content[0].update(harmful="What now?"), ["en"])


# what is done to the rows -> the lines that are said, and how many answers are generated anew
CHANGES = {
    "a language more": (new_language, ["4 prompts in fr are new"], 4),
    "a row more": (add_row, ["1 prompt in en is new", "1 prompt in sw is new"], 2),
    "a language less": (lambda folder: (folder / "sw.jsonl").unlink(), ["4 prompts in sw are gone"], 0),
    "a row less": (
        lambda folder: in_all(folder, lambda content: content.pop(1)),
        ["1 prompt in en is gone", "1 prompt in sw is gone"], 0,
    ),
    "a prompt that was corrected": (in_one("sw", 2, harmful="Jinsi gani?"), ["1 prompt in sw has changed"], 1),
    "all prompts of a language": (
        lambda folder: in_all(folder, shout, ["sw"]),
        ["4 prompts in sw have changed"], 4,
    ),
    "a space at the end of a prompt": (in_one("en", 0, harmful="How? "), ["1 prompt in en has changed"], 1),
    "a category": (in_one("en", 0, topic="other", category="other"), ["1 prompt in en has changed"], 0),
    "another order": (
        lambda folder: in_all(folder, lambda content: content.reverse()),
        ["the prompts in en are in another order", "the prompts in sw are in another order"], 0,
    ),
    "an id": (
        lambda folder: in_all(folder, lambda content: content[3].update(id="other")),
        ["1 prompt in en is new", "1 prompt in en is gone", "1 prompt in sw is new", "1 prompt in sw is gone"], 0,
    ),
    "all at once": (
        everything,
        [
            "1 prompt in en is gone", "1 prompt in en has changed", "1 prompt in sw is gone",
            "3 prompts in fr are new",
        ], 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("is_old", [False, True], ids=["", "of an earlier version"])
def test_rows(name, is_old, tasks, tiny_model, tmp_path):
    change, said, generated = CHANGES[name]
    output = tmp_path / "results"
    first, lines = run(tiny_model, output)
    assert lines == []
    if is_old:
        forget_what_it_was_made_of(output)
        if name == "a category":
            pytest.skip("earlier versions kept the prompts only")
    change(tasks / "prompts")
    second, lines = run(tiny_model, output)
    assert lines == [f"starter_harmful: {line}" for line in said]
    assert second["run_id"] == first["run_id"]
    assert second["responses"]["generated"] == generated
    # The same as a run that never knew anything else.
    fresh, _ = run(tiny_model, tmp_path / "fresh")
    assert second["tasks"] == fresh["tasks"]
    assert samples(output) == samples(tmp_path / "fresh")
    third, lines = run(tiny_model, output)
    assert lines == []
    assert third["tasks"] == second["tasks"]


def forget_what_it_was_made_of(output):
    (path,) = output.glob("*/*/generation.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["made_of"]
    path.write_text(json.dumps(content), encoding="utf-8")


def samples(output):
    return {path.name: path.read_text(encoding="utf-8") for path in output.glob("*/*/samples/*.jsonl")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--languages", "en"], []),
        (["--languages", "sw,en"], ["1 prompt in sw has changed"]),
        (["--limit", "3"], []),
        (["--limit", "4"], ["1 prompt in sw has changed"]),
    ],
)
def test_what_is_not_asked_does_not_count(options, said, tasks, tiny_model, tmp_path):
    run(tiny_model, tmp_path / "r", *options)
    in_one("sw", 3, harmful="Sasa?")(tasks / "prompts")
    record, lines = run(tiny_model, tmp_path / "r", *options)
    assert lines == [f"starter_harmful: {line}" for line in said]
    assert record["responses"]["generated"] == (len(said) or record["responses"]["generated"])


def test_a_question_whose_right_answer_was_corrected(tasks, tiny_model, tmp_path):
    first, _ = run(tiny_model, tmp_path / "r", task="starter_choice")
    content = rows(tasks / "choice" / "en.jsonl")
    content[0]["answer"] = (content[0]["answer"] + 1) % 4 if isinstance(content[0]["answer"], int) else "D"
    write(tasks / "choice" / "en.jsonl", content)
    second, lines = run(tiny_model, tmp_path / "r", task="starter_choice")
    assert lines == ["starter_choice: 1 prompt in en has changed"]
    assert second["responses"]["generated"] == 0
    key = ["tasks", 0, "languages", "en", "data_fingerprint"]
    assert at(first, key) != at(second, key)


def at(content, keys):
    for key in keys:
        content = content[key]
    return content


def test_a_dry_run_knows(tasks, tiny_model, tmp_path):
    run(tiny_model, tmp_path / "r")
    dry = ("--dry-run",)
    options = ["run", "--model", tiny_model, "--engine", "hf", "--tasks", "starter_harmful", "--max-tokens", "4"]
    options += ["--output", tmp_path / "r", "--json", *dry]
    assert json.loads(command(*options).stdout)[0]["generated"] is True
    new_language(tasks / "prompts")
    assert json.loads(command(*options).stdout)[0]["generated"] is False


def test_nothing_has_changed_and_no_engine_starts(tasks, tiny_model, tmp_path, monkeypatch):
    run(tiny_model, tmp_path / "r")
    from mlc_bench.engines import lifecycle

    monkeypatch.setattr(lifecycle, "build", None)
    record, lines = run(tiny_model, tmp_path / "r")
    assert (record["status"], lines) == ("complete", [])


def test_data_that_cannot_be_read_any_more(tasks, tiny_model, tmp_path):
    """One task's data are broken: it fails as in a first run, the other goes on; fixed, all is there again."""
    run(tiny_model, tmp_path / "r", task="starter_harmful,starter_choice")
    path = tasks / "choice" / "sw.jsonl"
    before = path.read_text(encoding="utf-8")
    path.write_text("{", encoding="utf-8")
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "starter_harmful,starter_choice", "--max-tokens",
        "4", "--output", tmp_path / "r",
    )  # fmt: skip
    assert done.returncode == 1
    assert "starter_choice: its data cannot be read any more" in done.stderr
    assert "sw.jsonl, line 1" in done.stderr
    path.write_text(before, encoding="utf-8")
    record, _ = run(tiny_model, tmp_path / "r", task="starter_harmful,starter_choice")
    assert (record["status"], record["responses"]["generated"]) == ("complete", 0)


def unpinned(folder, texts):
    """A data set whose digests nobody has pinned, in a folder as --data-dir names it."""
    (folder / "aya_redteaming").mkdir(parents=True)
    path = folder / "aya_redteaming" / "aya_fra.jsonl"
    write(path, [{"prompt": text, "harm_category": "[]", "literal_translation": text} for text in texts])
    return path


def score_aya(model, data_dir, output):
    done = command(
        "run", "--model", model, "--engine", "hf", "--tasks", "aya_redteaming", "--languages", "fr", "--max-tokens",
        "4", "--data-dir", data_dir, "--output", output, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]["responses"], done.stderr.splitlines()


def test_a_file_that_is_not_pinned(tiny_model, tmp_path):
    path = unpinned(tmp_path / "data", ["Un ?", "Deux ?", "Trois ?"])
    score_aya(tiny_model, tmp_path / "data", tmp_path / "r")
    write(path, [row | {"prompt": row["prompt"].replace("Un", "Une")} for row in rows(path)][:2])
    made, said = score_aya(tiny_model, tmp_path / "data", tmp_path / "r")
    assert made == {"generated": 1, "from_store": 1}
    assert sum("aya_fra.jsonl has changed since its last use" in line for line in said) == 1
    assert [line for line in said if line.startswith("aya_redteaming: ")] == [
        "aya_redteaming: 1 prompt in fr is gone", "aya_redteaming: 1 prompt in fr has changed",
    ]  # fmt: skip


def test_another_data_folder(tiny_model, tmp_path):
    unpinned(tmp_path / "a", ["Un ?", "Deux ?"])
    unpinned(tmp_path / "b", ["Un ?", "Deux ?", "Trois ?"])
    score_aya(tiny_model, tmp_path / "a", tmp_path / "r")
    made, said = score_aya(tiny_model, tmp_path / "b", tmp_path / "r")
    assert made == {"generated": 1, "from_store": 2}
    assert "aya_redteaming: 1 prompt in fr is new" in said
    # A folder without it: what was answered is judged again, and that it could not be compared is said.
    (tmp_path / "c").mkdir()
    made, said = score_aya(tiny_model, tmp_path / "c", tmp_path / "r")
    assert made == {"generated": 1, "from_store": 2}
    assert any("the data of fr are not here" in line for line in said)


def test_data_that_the_run_itself_has_downloaded(tiny_model, tmp_path, monkeypatch):
    """They are not here when it begins; the second time they are, and nothing has changed."""
    path = unpinned(tmp_path / "hub", ["Un ?", "Deux ?"])

    def download(source, name):
        target = sources.cache_dir() / "data" / source["files"] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(path, target))

    monkeypatch.setattr(sources, "_download", download)
    (tmp_path / "none").mkdir()
    first, _ = score_aya(tiny_model, tmp_path / "none", tmp_path / "r")
    second, said = score_aya(tiny_model, tmp_path / "none", tmp_path / "r")
    assert second == first == {"generated": 2, "from_store": 0}
    assert not [line for line in said if line.startswith("aya_redteaming: ")]


DAMAGED = [
    "[]",
    "{}",
    '{"tasks": {}}',
    '{"tasks": [], "server": {}}',
    '{"tasks": {"starter_harmful": 1}, "server": {}}',
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_note_is_written_again(content, tasks, tiny_model, tmp_path):
    run(tiny_model, tmp_path / "r")
    (path,) = tmp_path.glob("r/*/*/generation.json")
    whole = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(whole | {"made_of": json.loads(content)}), encoding="utf-8")
    record, _ = run(tiny_model, tmp_path / "r")
    assert (record["responses"]["generated"], record["status"]) == (0, "complete")
    assert json.loads(path.read_text(encoding="utf-8"))["made_of"] == whole["made_of"]


def test_one_file_of_all_languages_that_is_not_here(tiny_model, tmp_path):
    """Without --languages only the file says which there are: what was answered stays, and that is said."""
    content = "en,fr\nHow?,Comment ?\nWho?,Qui ?\n"
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "asked.csv").write_text(content, encoding="utf-8")
    pack = tmp_path / "packs" / "mine"
    pack.mkdir(parents=True)
    (pack / "card.md").write_text("Made up.\n", encoding="utf-8")
    (pack / "asked.yaml").write_text(
        "task: asked\n"
        "custom_dataset: !function mlc_bench.data.load\n"
        f"dataset_kwargs: {{file: asked.csv, sha256: {data.sha256(content.encode())}, columns: {{'*': '*'}}}}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: '{{prompt}}'\ndoc_to_target: ''\n"
        "generation_kwargs: {max_gen_toks: 4, do_sample: false, until: []}\n"
        "metric_list: [{metric: bypass, aggregation: bypass, higher_is_better: true}]\n"
        "metadata: {version: 1, measures: safety}\n",
        encoding="utf-8",
    )
    include = ("--include", tmp_path / "packs")
    record, _ = run(tiny_model, tmp_path / "r", *include, "--data-dir", tmp_path / "here", task="asked")
    assert record["responses"]["generated"] == 4
    (tmp_path / "empty").mkdir()
    record, said = run(tiny_model, tmp_path / "r", *include, "--data-dir", tmp_path / "empty", task="asked")
    assert (record["status"], sorted(record["tasks"][0]["languages"])) == ("complete", ["en", "fr"])
    assert any("the data of en, fr are not here" in line for line in said)
