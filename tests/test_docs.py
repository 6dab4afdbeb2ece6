"""The pages on adding a language, a task and a suite, followed word by word in a copy of the repository."""

import json
import re

import pytest
import yaml
from checkout import ROOT, Checkout

pytestmark = pytest.mark.integration  # each command in a process of its own, as people give them
LANGUAGE = "sw"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WRITE = re.compile(r"Write `([^`]+)`:\s*$")


def blocks(page):
    """(kind, content, file to write it to or None) of each code block of a page, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        target = WRITE.search(text[: match.start()].rstrip())
        yield match[1], match[2], target[1] if target else None


def follow(checkout, page, kinds=("sh",)):
    """Write the files and run the commands of a page; the output of each command."""
    outputs = {}
    for kind, content, target in blocks(page):
        if target:
            checkout.write(target, content)
        elif kind in kinds:
            for line in content.splitlines():
                done = checkout.run(line)
                assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
                outputs[line] = done.stdout
    return outputs


def dry_run(outputs):
    (found,) = [text for line, text in list(outputs.items())[-1:] if "--dry-run" in line]
    return found


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path / "copy")


def test_add_a_task(checkout):
    outputs = follow(checkout, "add-a-task.md")
    assert outputs["mlc-bench tasks validate kitchen"] == ""
    planned = dry_run(outputs)
    for name in ("kitchen_harmful", "kitchen_benign"):
        assert re.search(rf"{name}\s+en sw\s+6 prompts", planned)


def test_add_a_suite(checkout):
    outputs = follow(checkout, "add-a-suite.md")
    planned = dry_run(outputs)
    for name in ("starter_harmful", "starter_benign"):
        assert re.search(rf"{name}\s+sw bn ur\s+120 prompts", planned)


def test_add_a_language(checkout):
    """As the page says: Swahili as if it were not there. What people write is taken from the finished files."""
    names = [
        f"mlc_bench/languages/{LANGUAGE}.yaml",
        *(f"tasks/starter/{part}/{LANGUAGE}.jsonl" for part in ("prompts", "choice")),
    ]
    finished = {name: checkout.read(name) for name in names}
    for name in names:
        (checkout.folder / name).unlink()
    commands = [
        line for kind, content, _ in blocks("add-a-language.md") if kind == "sh" for line in content.splitlines()
    ]
    assert commands[0] == f"mlc-bench languages new {LANGUAGE}"
    assert commands[1] == f"mlc-bench tasks validate {LANGUAGE}"
    done = checkout.run(commands[0])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == names
    assert "TODO" in checkout.run(commands[1]).stdout

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
    done = checkout.run(commands[1])
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    done = checkout.run(commands[2])
    assert done.returncode == 0, done.stderr
    assert re.search(rf"starter_harmful\s+{LANGUAGE}\s+40 prompts", done.stdout)
    reviews = checkout.folder / "tasks/starter/reviews.jsonl"
    reviews.write_text(reviews.read_text(encoding="utf-8") if reviews.exists() else "" + reviewed + "\n")
    done = checkout.run(commands[3])
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
    shown = [
        line for kind, content, _ in blocks("add-a-language.md") if kind == "text" for line in content.splitlines()
    ]
    known = checkout.run("COLUMNS=200 mlc-bench tasks translate --help").stdout
    for option in {word for line in shown for word in line.split() if word.startswith("--")}:
        assert option in known
