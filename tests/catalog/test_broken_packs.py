"""What is broken in a pack from elsewhere spoils the runs that use it, and no others; every command says the same."""

import json

import hostile
import pytest
from helpers import check_failed, command

from mlc_bench.catalog import listing
from mlc_bench.contribute import validate

TWO = '{"id": "1", "text": "Hi?"}\n{"id": "2", "text": "Who?"}\n'


@pytest.fixture
def packs(tmp_path):
    hostile.honest(tmp_path / "packs")
    yield tmp_path / "packs"
    listing.include([])


def run(packs, *more):
    return command(
        "run", "--model", "m", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1", "--include", packs,
        "--output", packs.parent / "results", "--dry-run", *more,
    )  # fmt: skip


def planned(done):
    assert done.returncode == 0, done.stderr
    (plan,) = json.loads(done.stdout)
    return {task["task"]: task["languages"].split() for task in plan["tasks"]}


def listed(packs):
    done = command("tasks", "list", "--include", packs, "--json")
    assert done.returncode == 0, done.stderr
    return {row["task"]: row["languages"] for row in json.loads(done.stdout)}, done.stderr


STRAYS = ("xx.jsonl", "README.jsonl", "en-.jsonl", "en copy.jsonl")
HIDDEN = (".DS_Store", "._en.jsonl", ".en.jsonl", "Thumbs.db", "notes.txt")


@pytest.mark.parametrize("stray", STRAYS)
def test_a_file_of_no_known_language_is_left_out_and_named(stray, packs):
    path = packs / "honest" / "rows" / stray
    path.write_bytes(b"\x00\xff no rows at all")
    tasks, said = listed(packs)
    assert tasks["honest"] == ["en"]
    assert said.count(f"left out: {path}: unknown language") == 1
    done = run(packs, "--tasks", "honest", "--json")
    assert planned(done) == {"honest": ["en"]}
    assert done.stderr.count(str(path)) == 1
    assert planned(run(packs, "--tasks", "starter_benign", "--languages", "en", "--json")) == {"starter_benign": ["en"]}
    assert any(str(path) in str(fault) for fault in validate.check(str(packs / "honest")))


@pytest.mark.parametrize("name", HIDDEN)
def test_files_that_other_programs_leave_are_passed_over(name, packs):
    (packs / "honest" / "rows" / name).write_bytes(b"\x00\x05\x16\x07")
    tasks, said = listed(packs)
    assert tasks["honest"] == ["en"]
    assert name not in said


def test_a_run_leaves_it_out_as_the_dry_run_does(packs, tiny_model, tmp_path):
    (packs / "honest" / "rows" / "xx.jsonl").write_text("{")
    done = command(
        "run", "--model", tiny_model, "--engine", "hf", "--tasks", "honest", "--include", packs, "--output",
        tmp_path / "r", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert list(record["tasks"][0]["languages"]) == ["en"]
    assert "xx.jsonl" in done.stderr


def test_only_such_files_are_no_task(packs):
    pack = hostile.write_task(packs / "pack", "stray")
    (pack / "rows" / "en.jsonl").rename(pack / "rows" / "xx.jsonl")
    check_failed(run(packs, "--tasks", "stray"), 2, "xx.jsonl", "unknown language 'xx'")
    assert planned(run(packs, "--tasks", "honest", "--json")) == {"honest": ["en"]}


ROWS = {
    "not JSON": b"{oops\n",
    "broken UTF-8": b'{"id": "1", "text": "\xff"}\n',
    "no id": b'{"text": "Hi?"}\n',
    "no prompt": b'{"id": "1"}\n',
    "empty": b"",
    "a list": b"[1]\n",
}


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_language_spoils_runs_in_that_language(name, packs):
    (packs / "honest" / "rows" / "yo.jsonl").write_bytes(ROWS[name])
    assert planned(run(packs, "--tasks", "honest", "--languages", "en", "--json")) == {"honest": ["en"]}
    for chosen in ((), ("--languages", "yo"), ("--languages", "en,yo")):
        check_failed(run(packs, "--tasks", "honest", *chosen), 2, "yo.jsonl")
    assert listed(packs)[0]["honest"] == ["en", "yo"]


def test_a_folder_in_the_place_of_rows(packs):
    (packs / "honest" / "rows" / "yo.jsonl").mkdir()
    assert planned(run(packs, "--tasks", "honest", "--languages", "en", "--json")) == {"honest": ["en"]}
    check_failed(run(packs, "--tasks", "honest"), 2, "yo.jsonl' is a folder; name a file")


FILES = {
    "malformed": "task: [",
    "empty": "",
    "a list": "- a\n",
    "another YAML": "summary: a suite\ntasks: [pku]\n",
    "no source": "task: evil\noutput_type: generate_until\nmetadata: {version: 1, measures: safety}\n",
    "bytes": "\x00\x01",
}


@pytest.mark.parametrize("name", FILES)
def test_a_broken_task_file_spoils_its_own_task(name, packs):
    path = packs / "pack" / "evil.yaml"
    path.parent.mkdir()
    path.write_text(FILES[name])
    tasks, said = listed(packs)
    assert "honest" in tasks
    assert f"left out: {path}" in said
    done = run(packs, "--tasks", "honest", "--json")
    assert planned(done) == {"honest": ["en"]}
    assert f"left out: {path}" in done.stderr
    for asked in ("evil", "pack", "honest,evil"):
        check_failed(run(packs, "--tasks", asked), 2, str(path))
    check_failed(command("tasks", "list", "--include", path.parent), 2, str(path))


def test_a_task_in_the_same_folder_goes_on_alone(packs):
    (packs / "honest" / "broken.yaml").write_text("task: broken\n")
    assert planned(run(packs, "--tasks", "honest", "--json")) == {"honest": ["en"]}
    check_failed(run(packs, "--tasks", "broken"), 2, "broken.yaml", "'dataset_kwargs' is missing")


TAKEN = {
    "a task of ours": "pku",
    "in capitals": "PKU",
    "a family of lm-eval": "mmlu",
    "a suite": "safety",
    "a pack of ours": "starter",
    "a task of another pack": "honest",
    "one that differs in capitals": "Honest",
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_name_that_is_taken_is_nobodys_until_it_is_settled(name, packs):
    pack = hostile.write_task(packs / "second", TAKEN[name])
    done = run(packs, "--tasks", "starter_benign", "--languages", "en", "--json")
    assert planned(done) == {"starter_benign": ["en"]}
    assert f"left out: {pack / 'task.yaml'}: the task name '{TAKEN[name]}' is taken by" in done.stderr
    if name != "a suite":
        check_failed(run(packs, "--tasks", TAKEN[name]), 2, f"the task name '{TAKEN[name]}' is taken by")


def test_a_pack_of_the_same_name_adds_nothing_to_ours(packs):
    hostile.write_task(packs / "starter", "mine")
    ours = {"starter_harmful", "starter_benign", "starter_choice"}
    assert planned(run(packs, "--tasks", "starter_harmful", "--languages", "en", "--json")).keys() == {
        "starter_harmful"
    }
    assert {entry.name for entry in listing.select(["starter"])} == ours
    with listing.including([packs]):
        assert {entry.name for entry in listing.select(["starter"])} == ours
    assert planned(run(packs, "--tasks", "mine", "--json")) == {"mine": ["en"]}


def test_two_packs_of_one_name(packs):
    other = packs.parent / "other"
    hostile.write_task(other / "honest", "second")
    both = ("--include", other, "--json")
    assert planned(run(packs, "--tasks", "honest,second", *both)) == {"honest": ["en"], "second": ["en"]}


def test_a_card_that_is_missing_or_broken_stops_no_run(packs):
    card = packs / "honest" / "card.md"
    for break_it in (card.unlink, lambda: card.write_bytes(b"\xff\xfe"), lambda: card.write_bytes(b"x" * (2 << 20))):
        break_it()
        assert planned(run(packs, "--tasks", "honest", "--json")) == {"honest": ["en"]}
        done = command("tasks", "show", "honest", "--include", packs)
        assert done.returncode == 0, done.stderr
        assert "has no card to show" in done.stderr


def test_one_broken_task_among_others_is_marked_in_the_plan(packs):
    (packs / "honest" / "rows" / "en.jsonl").write_text("{oops\n")
    done = run(packs, "--tasks", "honest,starter_benign", "--languages", "en", "--json")
    assert done.returncode == 1, "a run would be partial"
    (plan,) = json.loads(done.stdout)
    errors = {task["task"]: task["error"] for task in plan["tasks"]}
    assert errors["starter_benign"] is None
    assert "en.jsonl, line 1: not JSON" in errors["honest"]


def test_a_small_alias_is_no_bomb(packs):
    path = packs / "honest" / "task.yaml"
    text = path.read_text().replace("licence: CC0", "licence: &free CC0\n  caution: *free")
    path.write_text(text)
    assert "*free" in text
    assert planned(run(packs, "--tasks", "honest", "--json")) == {"honest": ["en"]}


def test_a_link_within_the_pack_is_followed(packs):
    (packs / "honest" / "rows" / "yo.jsonl").symlink_to(packs / "honest" / "rows" / "en.jsonl")
    assert planned(run(packs, "--tasks", "honest", "--json")) == {"honest": ["en", "yo"]}
