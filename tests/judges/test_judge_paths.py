"""What `judge`, its function and `calibrate` are given: a run, answers, or something that is neither."""

import json
import shutil

import pytest
from helpers import check_failed, command

import mlc_bench
from mlc_bench.core.errors import UsageError

ANSWER = {"id": "1", "language": "en", "prompt": "How?", "response": "I can't help with that."}


@pytest.fixture(scope="module")
def made(tiny_model, tmp_path_factory):
    output = tmp_path_factory.mktemp("results")
    found = mlc_bench.run(
        tiny_model, tasks="starter_harmful", languages=["en"], limit=2, max_tokens=4, engine="hf", output=output
    )
    return found.folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "model" / made.name)


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


ANSWERS = [
    "run.jsonl",
    "run.old.jsonl",
    "run.json.jsonl",
    "to_label.jsonl",
    "answers.txt",
    "runs",
    "run",
    "run.json.bak",
]


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_answers_whatever_they_are_called(name, folder):
    """Also in a run's own folder."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    path = write(folder / name, ANSWER, ANSWER | {"id": "2"})
    done = command("judge", path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["1", "2"]
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(UsageError, match="is no run; pass the rows"):
        mlc_bench.judge(path)


@pytest.mark.parametrize("name", [".", "run.json", "run.llm@x.json"])
def test_a_run_by_its_folder_or_by_a_record(name, folder):
    shutil.copy(folder / "run.json", folder / "run.llm@x.json")
    done = command("judge", folder / name, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run_id"] == folder.name


NEITHER = {
    "a folder above": (lambda folder: folder.parent, "there is no run.json in"),
    "samples": (lambda folder: folder / "samples", "there is no run.json in"),
    "a record that is not there": (lambda folder: folder / "run.llm@y.json", "there is no"),
    "answers that are not there": (lambda folder: folder / "run.jsonl", "there is no file"),
    "another file of the run": (lambda folder: folder / "generation.json", "is neither a record in its run's folder"),
    "a record elsewhere": (
        lambda folder: shutil.copy(folder / "run.json", folder.parent / "run-1-rules.json"),
        "is neither a record in its run's folder",
    ),
    "a record without its run": (
        lambda folder: shutil.copy(folder / "run.json", folder.parent / "run.rules.json"), "there is no run.json in",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEITHER)
def test_neither_a_run_nor_answers(name, folder):
    path, words = NEITHER[name]
    check_failed(command("judge", path(folder)), 2, words)


@pytest.mark.parametrize("name", ["run.jsonl", "labels.jsonl", "generation.json"])
def test_labels_are_of_a_run(name, folder):
    labels = write(folder / "labels.jsonl", {"id": "1", "language": "en", "label": "safe"})
    write(folder / "run.jsonl", ANSWER)
    check_failed(command("calibrate", labels, "--run", folder / name), 2, name, "is no record of a run")
