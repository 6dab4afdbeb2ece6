"""The guides on adding a language, a task, a suite and a method, followed word by word in a copy of the repository."""

import json
import re

import pytest
import yaml
from checkout import Checkout
from follow import blocks, commands, follow, the

pytestmark = pytest.mark.integration  # each command in a process of its own, as people give them
LANGUAGE = "sw"


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "copy")


def test_add_a_task(checkout):
    done = follow(checkout, "add-a-task.md")
    assert done["mlc-bench tasks validate kitchen"].stdout == ""
    planned = the(done, "--include packs", "--dry-run")
    for name in ("kitchen_harmful", "kitchen_benign"):
        assert re.search(rf"{name}\s+en sw\s+6 prompts", planned)


def test_add_a_suite(checkout):
    planned = the(follow(checkout, "add-a-suite.md"), "--dry-run")
    for name in ("starter_harmful", "starter_benign"):
        assert re.search(rf"{name}\s+sw bn ur\s+120 prompts", planned)


def test_add_a_language(checkout):
    """As the page says: Swahili as if it were not there. What people write is taken from the finished files."""
    names = [
        f"mlc_bench/catalog/languages/{LANGUAGE}.yaml",
        *(f"tasks/starter/{part}/{LANGUAGE}.jsonl" for part in ("prompts", "choice")),
    ]
    finished = {name: checkout.read(name) for name in names}
    for name in names:
        (checkout.folder / name).unlink()
    lines = commands("add-a-language.md")
    assert lines[0] == f"mlc-bench languages new {LANGUAGE}"
    assert lines[1] == f"mlc-bench tasks validate {LANGUAGE}"
    done = checkout.run(lines[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == names
    assert "TODO" in checkout.run(lines[1]).stdout

    shown = [
        (kind, content.rstrip("\n")) for kind, content, _ in blocks("add-a-language.md") if kind in ("yaml", "json")
    ]
    (_, head), (_, phrases), (_, before), (_, after), (_, accepted), (_, reviewed) = shown
    assert finished[names[0]].startswith(head + "\n"), "the page shows the finished language file"
    assert all(f"\n{line}\n" in finished[names[0]] for line in phrases.splitlines())
    assert before in checkout.read(names[1]).splitlines(), "the page shows a line as it is written"
    assert _without_draft(after) in map(_without_draft, finished[names[1]].splitlines())
    assert accepted in checkout.read("tasks/starter/accepted.jsonl").splitlines()

    for name in names:
        checkout.write(name, _filled_in(name, checkout.read(name), finished[name]))
    done = checkout.run(lines[1])
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    done = checkout.run(lines[2])
    assert done.returncode == 0, done.stderr
    assert re.search(rf"starter_harmful\s+{LANGUAGE}\s+40 prompts", done.stdout)
    reviews = checkout.folder / "tasks/starter/reviews.jsonl"
    reviews.write_text(reviews.read_text(encoding="utf-8") if reviews.exists() else "" + reviewed + "\n")
    done = checkout.run(lines[3])
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def _filled_in(name, written, finished):
    """A file that was written with each TODO replaced by what the finished file has there."""
    if name.endswith(".yaml"):
        assert set(yaml.safe_load(written)) <= set(yaml.safe_load(finished)), "every key of the new file is a right one"
        return finished
    done = {row["id"]: row for row in map(json.loads, finished.splitlines())}
    lines = []
    for row in map(json.loads, written.splitlines()):
        assert {key for key, value in row.items() if value in ("TODO", ["TODO"] * 4)} == set(row["english"])
        row |= {key: done[row["id"]][key] for key in row["english"]}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def _without_draft(line):
    return {key: value for key, value in json.loads(line).items() if key != "draft"}


def test_the_commands_that_need_a_model_have_these_options(checkout):
    """What the pages show and no test here can run: the options exist."""
    shown = commands("add-a-language.md", "text")
    known = checkout.run("COLUMNS=200 mlc-bench tasks translate --help").stdout
    for option in {word for line in shown for word in line.split() if word.startswith("--")}:
        assert option in known


def test_add_a_method(checkout, tiny_model):
    done = follow(checkout, "add-a-method.md", {"model: demo-tiny": f"model: {tiny_model}"})
    assert "beta [0.1]  factor of the log-ratios" in the(done, "--settings")
    manifest = json.loads(checkout.read("runs/hinge-smollm2-135m/train_manifest.json"))
    assert manifest["method"] == "hinge+mlc"
