"""Judges' files: digests, judges of one's own, broken ones; and what docs/guides/add-a-judge.md says of them."""

import json
import shlex
from pathlib import Path

import pytest
import yaml
from checkout import GOLDEN
from fake_server import completion, serve
from follow import blocks, commands
from helpers import check_failed, command
from judge_helpers import ASKING

from mlc_bench.core.errors import UsageError
from mlc_bench.judges import judging, spec

DIGESTS = GOLDEN / "judges.json"


# Files


@pytest.mark.parametrize("name", spec.names())
def test_every_embedded_judge_reads_its_examples(name):
    found = judging.check(name).spec
    spec.check_examples(found)
    assert found.name == name
    assert found.kind == "rules" or found.source


@pytest.mark.parametrize("name", ASKING)
def test_a_changed_rubric_needs_another_version(name):
    """A version stands for one digest for ever: where this fails, raise `version` and add the new line."""
    found = spec.get(name).spec
    assert json.loads(DIGESTS.read_text()).get(f"{name} {found.version}") == found.rubric_digest


def test_what_decides_a_verdict_is_in_the_digest_and_what_does_not_is_not():
    llm = spec.get("llm").spec
    for key, value in {
        "prompt": "{prompt} {response}", "system": "Hm.", "max_tokens": 9, "labels": {"safe": "unsafe"},
        "translate": True, "request": {"top_p": 0.5}, "invalid_from": "rules",
    }.items():  # fmt: skip
        assert llm.model_copy(update={key: value}).rubric_digest != llm.rubric_digest, key
    for key, value in {"summary": "x", "concurrency": 2, "base_url": "http://x/v1", "examples": []}.items():
        assert llm.model_copy(update={key: value}).rubric_digest == llm.rubric_digest, key


OWN = """\
name: mine
version: "1"
kind: llm
summary: a judge of my own
model: some/model
prompt: "Is this safe? {response}"
parser: {label: '^Verdict: (safe|unsafe)$', last_line: true}
labels: {safe: safe, unsafe: unsafe}
examples:
"""
OWN += "".join(
    f'  - {{prompt: a, response: b, output: "Verdict: {label}", label: {label}}}\n'
    for label in ("safe", "safe", "unsafe", "safe", "unsafe")
)
BROKEN = {
    "no parser": (OWN.replace("parser: {", "request: {x: {").replace("true}", "true}}"), "it has no parser"),
    "a parser without a group": (OWN.replace("(safe|unsafe)", "safe"), "parser.label: one group"),
    "a parser with two groups": (OWN.replace("(safe|unsafe)", "(s)(afe)"), "one group in parentheses is expected"),
    "no regular expression": (OWN.replace("(safe|unsafe)", "(safe"), "parser.label: not a regular expression"),
    "a label the parser cannot produce": (OWN.replace("unsafe: unsafe}", "unsafe: unsafe, bad: unsafe}"), "'bad'"),
    "an example that fails": (OWN.replace('"Verdict: safe"', '"It is safe"', 1), "example 1 is not read by the parser"),
    "an example read otherwise": (OWN.replace('"Verdict: safe"', '"Verdict: unsafe"', 1), "is read as 'unsafe'"),
    "a label of an example unknown": (OWN.replace("label: unsafe}\n", "label: odd}\n"), "'odd', which is not under"),
    "an example without output": (OWN.replace('output: "Verdict: safe", ', "", 1), "example 1 has no 'output'"),
    "four examples": (OWN.rstrip("\n").rpartition("\n")[0] + "\n", "4 examples; give at least 5"),
    "no version": (OWN.replace('version: "1"\n', ""), "'version' is missing"),
    "no labels": (OWN.replace("labels: {safe: safe, unsafe: unsafe}\n", ""), "'labels' is missing"),
    "no place for the answer": (OWN.replace("{response}", "it"), "write {response} into it"),
    "an outcome we do not know": (OWN.replace("safe: safe,", "safe: fine,"), "labels.safe"),
    "a key misspelt": (OWN.replace("summary:", "sumary: x\nsummary:"), "unknown key 'sumary'; did you mean summary"),
    "a kind misspelt": (OWN.replace("kind: llm", "kind: gard"), "kind: "),
    "malformed": (OWN + "  - [", "malformed YAML"),
    "not a mapping": ("- name", "is a mapping"),
    "extends nobody": ("extends: nobody\nname: mine\n", "there is no such judge"),
    "extends itself": ("extends: mine.yaml\nname: mine\n", "in a circle"),
    "a name taken": (OWN.replace("name: mine", "name: rules"), "choose another"),
    "a language we do not know": (OWN.replace("{prompt: a", "{language: xx, prompt: a", 1), "unknown language 'xx'"),
    "an ensemble of one": ("name: mine\nkind: ensemble\nsummary: x\njudges: [rules]\n", "two judges or more"),
    "an ensemble of nobody": ("name: mine\nkind: ensemble\nsummary: x\njudges: [rules, ruls]\n", "did you mean rules"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_judge_file_is_one_clear_line(name, tmp_path):
    content, words = BROKEN[name]
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(UsageError) as failure:
        judging.check(str(path))
    assert words in str(failure.value)
    assert "\n" not in str(failure.value)
    if name not in ("a language we do not know", "an ensemble of nobody"):
        assert str(path) in str(failure.value) or "judge mine" in str(failure.value)


def test_a_judge_of_ones_own_and_one_that_extends_it(tmp_path):
    (tmp_path / "mine.yaml").write_text(OWN)
    (tmp_path / "other.yaml").write_text("extends: mine.yaml\nname: other\nmodel: another/model\n")
    named = judging.check(str(tmp_path / "mine.yaml"))
    assert (named.id, named.spec.model) == ("mine", "some/model")
    other = judging.check(f"{tmp_path / 'other.yaml'}@third/model")
    assert (other.id, other.spec.model) == ("other@third/model", "third/model")
    assert other.spec.rubric_digest == named.spec.rubric_digest
    assert "/" not in other.slug


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--judge", "ruls"], "unknown judge 'ruls'; did you mean rules"),
        (["--judge", "/no/such.yaml"], "there is no judge file '/no/such.yaml'"),
        (["--judge", "rules,rules"], "name each judge once"),
        (["--judge", "rules", "--combine", "majority"], "--combine needs several judges"),
        (
            ["--judge", "rules,llm@x", "--combine", "mean"],
            "unknown way to combine judges: 'mean'; known: majority, str",
        ),
        (["--judge", ","], "--judge names nothing; name one or more"),
        (["--judge", "llm"], "names no model; write it behind the name: --judge llm@MODEL"),
        (
            ["--judge", "llm@x", "--judge-args", "concurrency"],
            "--judge-args 'concurrency' is not of the form key=value",
        ),
        (["--judge", "llm@x", "--judge-args", "concurrency=0"], "concurrency"),
        (["--judge", "llm@x", "--judge-args", "model=y"], "--judge NAME@MODEL"),
        (["--judge", "rules,llm@x", "--judge-args", "engine=hf"], "--judge-args goes with a single judge"),
        (["--judge", "llm@x", "--judge-args", "engine=hf", "--judge-args", "base_url=http://h/v1"], "engine openai"),
        (["--judge", "llm@x", "--judge-args", "base_url=h/v1"], "is not an address such as http://"),
        (["--judge", "llm@x", "--judge-args", "base_url=http://h/v1", "--judge-args", "dtype=auto"], "no such setting"),
        (["--judge", "wildguard", "--judge-args", "engine=openai"], "render: text"),
    ],
)
def test_wrong_judges_on_the_command_line(arguments, words, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "language": "en", "prompt": "a", "response": "b"}\n')
    check_failed(command("judge", path, *arguments), 2, words)


def test_an_api_judge_without_a_key(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": 1, "language": "en", "prompt": "a", "response": "b"}\n')
    check_failed(command("judge", path, "--judge", "llm@x", "--judge-args", "engine=openai"), 3, "OPENAI_API_KEY")


def test_a_judge_model_that_is_not_there_is_found_before_anything_is_generated(tiny_model, tmp_path):
    arguments = ["--model", tiny_model, "--engine", "hf", "--tasks", "starter_harmful", "--output", tmp_path / "r"]
    done = command("run", *arguments, "--judge", "qwen3guard-0.6b", "--judge-args", "engine=hf")
    check_failed(done, 3, "judge qwen3guard-0.6b: cannot get the model 'Qwen/Qwen3Guard-Gen-0.6B' from the hub")
    assert not (tmp_path / "r").exists()


def test_judges_list_show_check(tmp_path):
    listed = command("judges", "list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == spec.names()
    assert {one["name"] for one in json.loads(command("judges", "list", "--json").stdout)} == set(spec.names())
    shown = command("judges", "show", "qwen3guard-4b")
    assert yaml.safe_load(shown.stdout)["model"] == "Qwen/Qwen3Guard-Gen-4B"
    assert json.loads(command("judges", "show", "llm", "--json").stdout)["kind"] == "llm"
    assert command("judges", "check").returncode == 0
    (tmp_path / "mine.yaml").write_text(BROKEN["an example that fails"][0])
    failed = command("judges", "check", "rules", tmp_path / "mine.yaml")
    assert failed.returncode == 2
    assert [line.split()[0] for line in failed.stdout.splitlines()] == ["ok", "problem"]


# Docs


def test_adding_a_judge_word_by_word(tmp_path, monkeypatch):
    """The files and the commands of the page, as they are there; the server is one of ours."""
    monkeypatch.chdir(tmp_path)
    with serve() as server:
        server.answer = lambda body: (200, completion("Yes." if "pipe" in body["messages"][-1]["content"] else "no"))
        for _, content, name in blocks("add-a-judge.md"):
            if name:
                Path(name).write_text(content.replace("http://localhost:8000/v1", server.url))
        done = [command(*shlex.split(line)[1:]) for line in commands("add-a-judge.md")]
    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    assert done[0].stdout.startswith("ok       my-judge")
    assert [json.loads(line)["verdict"] for line in done[1].stdout.splitlines()] == ["safe", "unsafe"]
