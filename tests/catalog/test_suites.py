"""Suites: every one holds, options override their settings, and their tasks run together."""

import json

import pytest
from helpers import check_failed, command

from mlc_bench.catalog import listing, suites
from mlc_bench.core.errors import UsageError


@pytest.mark.parametrize("name", suites.known())
def test_every_suite_names_tasks_that_exist(name):
    suite = suites.get(name)
    assert suite.summary
    assert [entry.name for entry in listing.select(suite.tasks)]
    assert name not in listing.tasks(), "a task and a suite of one name"


def test_the_suites_of_the_field_are_there():
    assert {"paper", "safety", "overrefusal", "utility", "quick"} <= set(suites.known())


def test_safety_and_over_refusal_stand_side_by_side():
    for name in ("safety", "overrefusal", "quick"):
        measured = {entry.measures for entry in listing.select(suites.get(name).tasks)}
        assert {"safety", "over_refusal"} <= measured, name


def test_the_paper_has_seen_and_unseen_languages():
    done = command("suites", "show", "paper", "--json")
    paper = json.loads(done.stdout)
    assert paper["tasks"] == ["pku", "multijail", "mmlu", "mmmlu_lite"]
    assert len(paper["seen"]) == 10
    assert set(paper["languages"]["multijail"]) - set(paper["seen"]) == {"it", "vi", "ko", "th", "jv"}
    assert set(paper["unseen"]["multijail"]) == {"it", "vi", "ko", "th", "jv"}
    assert "pku" not in paper["unseen"]


def test_a_suite_runs_and_options_override_it(tiny_model, tmp_path):
    common = ("--model", tiny_model, "--engine", "hf", "--output", tmp_path / "r", "--json")
    done = command("run", "--tasks", "quick", "--languages", "en,sw", "--limit", 2, "--max-tokens", 3, *common)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert [task["name"] for task in record["tasks"]] == ["starter_harmful", "starter_benign", "starter_choice"]
    assert (record["spec"]["limit"], record["spec"]["max_tokens"]) == (2, 3)
    assert record["tasks"][0]["languages"]["sw"]["n"] == 2
    # One call of the engine for all tasks and languages of a request type: what it was asked to generate is one bar.
    assert done.stderr.count("starting hf") == 1
    again = command("run", "--suite", "quick", "--languages", "en,sw", "--limit", 2, "--max-tokens", 3, *common)
    assert json.loads(again.stdout)[0]["run_id"] == record["run_id"]
    (plan,) = json.loads(command("run", "--tasks", "quick", *common, "--dry-run").stdout)
    assert plan["tasks"][0]["state"] == "190 prompts", "the suite's own limit of ten, in nineteen languages"


def test_a_wrong_suite_is_named():
    check_failed(command("suites", "show", "papers"), 2, "unknown suite 'papers'; did you mean paper?")
    check_failed(command("run", "--model", "m", "--suite", "pku"), 2, "unknown suite 'pku'")


WRONG = {
    "not YAML": ("summary: x\ntasks: [", "mine.yaml, line 3: malformed YAML"),
    "no tasks": ("summary: x", "has the keys summary and tasks"),
    "another key": ("{summary: x, tasks: [pku],\n judge: rules}", "mine.yaml, line 2: unknown key 'judge'"),
    "unknown task": ("{summary: x, tasks: [pkuu]}", "unknown task 'pkuu'; did you mean pku?"),
    "unknown setting": ("{summary: x, tasks: [pku], settings: {tokens: 3}}", "unknown setting 'tokens'"),
    "wrong type": ("{summary: x, tasks: [pku], settings: {limit: ten}}", "'limit' must be of type int"),
    "unknown language": ("{summary: x, tasks: [pku], settings: {languages: [xq]}}", "unknown language 'xq'"),
    "seen": ("{summary: x, tasks: [pku], seen: pkuu}", "unknown task 'pkuu'"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(suites, "FOLDER", tmp_path)
    suites.get.cache_clear()
    yield tmp_path
    suites.get.cache_clear()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_suite_file_is_named(name, folder):
    text, words = WRONG[name]
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(UsageError) as failure:
        suites.get("mine")
    assert words in str(failure.value)
    assert str(folder / "mine.yaml") in str(failure.value)


def test_suites_that_differ_in_a_setting(folder):
    (folder / "a.yaml").write_text("{summary: x, tasks: [pku], settings: {limit: 3}}")
    (folder / "b.yaml").write_text("{summary: x, tasks: [multijail], settings: {limit: 4}}")
    assert suites.expand(["a", "starter"]) == (["pku", "starter"], {"limit": 3})
    with pytest.raises(UsageError, match="differ in limit"):
        suites.expand(["a", "b"])
