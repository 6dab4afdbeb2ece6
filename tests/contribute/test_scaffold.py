"""`languages new` and `tasks new`: what they write is valid but for its TODOs, and nothing is overwritten or run."""

import json

import pytest
from checkout import Checkout
from helpers import check_failed, command

from mlc_bench.catalog import data, listing
from mlc_bench.contribute import scaffold
from mlc_bench.core.errors import PrerequisiteError


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("checkout"))


def faults(checkout, target):
    return json.loads(checkout.run(f"mlc-bench tasks validate {target} --json").stdout)


@pytest.fixture(scope="module")
def igbo(checkout):
    done = checkout.run("mlc-bench languages new ig --json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_new_language_has_a_file_and_rows_of_the_starter(checkout, igbo):
    names = ["mlc_bench/catalog/languages/ig.yaml", "tasks/starter/prompts/ig.jsonl", "tasks/starter/choice/ig.jsonl"]
    assert igbo == [str(checkout.folder / name) for name in names]
    rows = [json.loads(line) for line in checkout.read("tasks/starter/choice/ig.jsonl").splitlines()]
    english = [json.loads(line) for line in checkout.read("tasks/starter/choice/en.jsonl").splitlines()]
    assert [(row["id"], row["answer"]) for row in rows] == [(row["id"], row["answer"]) for row in english]
    assert rows[0]["english"]["question"] == english[0]["question"]
    assert rows[0]["choices"] == ["TODO"] * 4


def test_all_that_is_wrong_with_a_new_language_is_what_is_left_to_do(checkout, igbo):
    found = faults(checkout, "ig")
    assert {fault["file"].rsplit("/", 1)[-1] for fault in found} == {"ig.yaml", "ig.jsonl"}
    assert all("TODO" in fault["what"] for fault in found)
    rows = [fault for fault in found if fault["file"].endswith("prompts/ig.jsonl")]
    assert len(rows) == 2 * len(data.read({"folder": "starter/prompts", "prompt_field": "benign"})["en"])


def test_of_a_language_that_is_known_only_the_rows_are_written(checkout):
    before = checkout.read("mlc_bench/catalog/languages/yo.yaml")
    done = checkout.run("mlc-bench languages new yo")
    assert done.stdout.split() == ["tasks/starter/prompts/yo.jsonl", "tasks/starter/choice/yo.jsonl"]
    assert checkout.read("mlc_bench/catalog/languages/yo.yaml") == before
    assert checkout.run("mlc-bench languages new yo").returncode == 2, "a second time nothing is overwritten"


def test_what_is_not_finished_is_not_run_and_in_nobodys_way(checkout, igbo):
    listed = {row["task"]: row for row in json.loads(checkout.run("mlc-bench tasks list --json").stdout)}
    assert "ig" not in listed["starter_harmful"]["languages"]
    assert "sw" in listed["starter_harmful"]["languages"]
    assert checkout.run("mlc-bench tasks validate sw").returncode == 0


def test_a_task_of_which_no_language_is_finished_says_so(tmp_path):
    scaffold.new_task("mine", "safety", tmp_path)
    with pytest.raises(PrerequisiteError, match="no language is finished"):
        data.read(listing.read_yaml(tmp_path / "mine" / "mine_harmful.yaml", included=True).source)


@pytest.mark.parametrize("measures", ["safety", "utility"])
def test_all_that_is_wrong_with_a_new_task_is_what_is_left_to_do(checkout, measures):
    name = f"new_{measures}"
    done = checkout.run(f"mlc-bench tasks new {name} --measures {measures}")
    assert done.returncode == 0, done.stderr
    found = faults(checkout, name)
    assert found
    assert all("TODO" in fault["what"] for fault in found), found


def test_a_task_of_ones_own_lies_anywhere(checkout):
    done = checkout.run("mlc-bench tasks new elsewhere --into packs")
    assert done.returncode == 0, done.stderr
    assert (checkout.folder / "packs/elsewhere/rows/en.jsonl").is_file()
    assert all("TODO" in fault["what"] for fault in faults(checkout, "packs/elsewhere"))
    assert "packs/elsewhere" in done.stderr, "the next command is named as it must be typed"


REFUSED = {
    "languages new sw": "all files of 'sw' are there",
    "languages new swahili": "is not a language code",
    "languages new ../x": "is not a language code",
    "tasks new starter": "is taken",
    "tasks new starter_benign": "is taken",
    "tasks new sw": "is taken by the language sw",
    "tasks new quick": "is taken by the suite quick",
    "tasks new con": "some systems keep for themselves",
    "tasks new Ours": "is not a name for a task",
    "tasks new ours --measures danger": "unknown kind of task 'danger'",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused(line):
    check_failed(command(*line.split()), 2, REFUSED[line])
