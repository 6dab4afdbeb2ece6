"""Tasks and data that are wrong: one line each that says what, where and how to fix it, and the right exit code."""

import json
from urllib.error import URLError

import pytest
from bad_input import hf
from helpers import check_failed, command

from mlc_bench.catalog import data, listing
from mlc_bench.core.errors import PrerequisiteError, UsageError

# Task packs

TASK = """\
task: mine
dataset_kwargs: {folder: mine/rows, prompt_field: text}
output_type: generate_until
metadata: {version: 1, measures: safety}
"""
PACKS = {
    "malformed": ("task: mine\nmetadata: [1, 2\nx: {", "task.yaml, line 3: malformed YAML"),
    "a tag": ("task: !!python/object:os.system x", "task.yaml, line 1: malformed YAML"),
    "not a mapping": ("- task", "a mapping"),
    "empty": ("", "a mapping"),
    "broken UTF-8": (b"task: \xff\xfe", "malformed YAML"),
    "no task": (TASK.replace("task:", "tusk:"), "'task' is missing"),
    "no data": (TASK.replace("dataset_kwargs", "data"), "'dataset_kwargs' is missing"),
    "no output type": (TASK.replace("output_type", "output"), "'output_type' is missing"),
    "no metadata": (TASK.replace("metadata", "meta"), "'metadata' is missing"),
    "no version": (TASK.replace("version: 1, ", ""), "'version'"),
    "version a text": (TASK.replace("version: 1", "version: one"), "'version'"),
    "measures": (TASK.replace("safety", "danger"), "one of safety, over_refusal, utility"),
    "utility without headline": (TASK.replace("safety", "utility"), "'headline'"),
    "name a list": (TASK.replace("task: mine", "task: [a]"), "'task' must be a name"),
    "folder alone": (TASK.replace(", prompt_field: text", ""), "folder and prompt_field"),
    "file alone": (TASK.replace("folder: mine/rows", "file: x"), "file and sha256 and columns"),
    "data a text": (TASK.replace("{folder: mine/rows, prompt_field: text}", "folder"), "'dataset_kwargs' must hold"),
}


@pytest.mark.parametrize("name", PACKS)
def test_task_files(name, tmp_path):
    content, words = PACKS[name]
    path = tmp_path / "pack" / "task.yaml"
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for reading in (lambda: listing.read_yaml(path), lambda: listing.tasks(tmp_path)):
        with pytest.raises(UsageError) as failure:
            reading()
        assert str(path) in str(failure.value)
        assert words in str(failure.value)
        assert "\n" not in str(failure.value)


def test_a_task_name_that_is_taken(tmp_path):
    for pack in ("a", "b"):
        (tmp_path / pack).mkdir()
        (tmp_path / pack / "task.yaml").write_text(TASK)
    with pytest.raises(UsageError, match=r"b/task.yaml.*'mine' is taken by .*a/task.yaml"):
        listing.tasks(tmp_path)


# Rows: one folder with a file for each language, or one file with a column for each language

GOOD = '{"id": "1", "text": "Hi?"}\n'
FOLDERS = {
    "not JSON": ({"en": GOOD + "{oops\n"}, "en.jsonl, line 2: not JSON"),
    "not an object": ({"en": GOOD + "[1]\n"}, "en.jsonl, line 2: a JSON object"),
    "broken UTF-8": ({"en": GOOD.encode() + b'{"id": "2", "text": "\xff"}'}, "en.jsonl, line 2: broken UTF-8"),
    "no id": ({"en": '\n{"text": "Hi?"}'}, "en.jsonl, line 2: 'id' is missing"),
    "no prompt": ({"en": '{"id": "1"}'}, "en.jsonl, line 1: 'text' is missing, empty, or not text"),
    "empty prompt": ({"en": '{"id": "1", "text": " \\t"}'}, "line 1: 'text' is missing, empty, or not text"),
    "prompt a number": ({"en": '{"id": "1", "text": 5}'}, "line 1: 'text' is missing, empty, or not text"),
    "no rows": ({"en": "\n"}, "en.jsonl has no rows"),
    "unknown language": ({"englich": GOOD}, "unknown language 'englich'; did you mean en"),
    "an id twice": ({"en": GOOD + GOOD}, "an id is on two rows"),
    "other ids": ({"en": GOOD, "ru": GOOD.replace("1", "2")}, "'ru' has other ids than the others"),
    "fewer rows": ({"en": GOOD + GOOD.replace("1", "2"), "ru": GOOD}, "'ru' has other ids than the others"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_rows_in_a_folder(name, tmp_path):
    files, words = FOLDERS[name]
    for stem, content in files.items():
        (tmp_path / f"{stem}.jsonl").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as failure:
        data.read({"folder": str(tmp_path), "prompt_field": "text"})
    assert words in str(failure.value)
    assert str(tmp_path) in str(failure.value)


def test_an_empty_folder(tmp_path):
    with pytest.raises(PrerequisiteError, match="has no data files"):
        data.read({"folder": str(tmp_path), "prompt_field": "text"})


COLUMNS = {
    "not JSON": ("x.jsonl", b'{"en": "Hi?"}\n{oops', "x.jsonl, line 2: not JSON"),
    "broken UTF-8": ("x.jsonl", b'{"en": "Hi?"}\n{"en": "\xff"}', "x.jsonl, line 2: broken UTF-8"),
    "broken UTF-8 in CSV": ("x.csv", b"en,ru\nHi?,\xff", "x.csv, line 2: broken UTF-8"),
    "no language": ("x.jsonl", b'{"en": "Hi?", "ru": "Hi?"}\n{"en": "Hi?"}', "row 2: no prompt for language 'ru'"),
    "a short line": ("x.csv", b"en,ru\nHi?,Hi?\nHi?", "row 2: no prompt for language 'ru'"),
    "empty prompt": ("x.jsonl", b'{"en": "Hi?"}\n{"en": " "}', "row 2: no prompt for language 'en'"),
    "empty cell": ("x.csv", b"en,ru\n,Hi?", "row 1: no prompt for language 'en'"),
    "empty turns": ("x.jsonl", b'{"en": []}', "row 1: no prompt for language 'en'"),
    "a turn without text": ("x.jsonl", b'{"en": [{"value": 7}]}', "row 1: no prompt for language 'en'"),
    "a number": ("x.jsonl", b'{"en": 7}', "row 1: no prompt for language 'en'"),
    "no known column": ("x.jsonl", b'{"klingon": "Hi?"}', "no rows with a column for a language"),
    "a heading alone": ("x.csv", b"en,ru\n", "no rows"),
    "nothing": ("x.csv", b"", "no rows"),
    "nothing in JSON": ("x.jsonl", b"", "has no rows"),
    "an id twice": ("x.jsonl", b'{"id": 1, "en": "a"}\n{"id": 1, "en": "b"}', "an id is on two rows"),
}


def columns(name, content):
    return {"file": name, "sha256": data.sha256(content), "columns": {"*": "*"}, "url": "https://nowhere.invalid/x"}


@pytest.mark.parametrize("name", COLUMNS)
def test_rows_in_columns(name, tmp_path, monkeypatch):
    file, content, words = COLUMNS[name]
    (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    with pytest.raises(UsageError) as failure:
        data.read(columns(file, content))
    assert words in str(failure.value)
    assert file in str(failure.value)


def test_data_with_another_digest(tmp_path, monkeypatch):
    (tmp_path / "x.jsonl").write_text('{"en": "edited"}')
    monkeypatch.setenv("MLC_BENCH_DATA", str(tmp_path))
    with pytest.raises(PrerequisiteError, match=r"x.jsonl is not the file .*https://nowhere.invalid/x"):
        data.read(columns("x.jsonl", b"as it was"))


def _no_network(*_, **__):
    raise URLError("no network")


@pytest.mark.parametrize(("task", "origin"), [("pku", "https://raw.githubusercontent"), ("multijail", "DAMO-NLP-SG")])
def test_data_that_cannot_be_downloaded(task, origin, monkeypatch, tiny_model, tmp_path):
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    file = listing.tasks()[task].source["file"]
    done = command(*hf(tiny_model, tmp_path, "--tasks", task)[:5], "--tasks", task, "--output", tmp_path)
    check_failed(done, 3, origin, f"save it as '{file}' in a folder", "--data-dir or MLC_BENCH_DATA")
    plan = command(*hf(tiny_model, tmp_path, "--tasks", task, "--dry-run"))
    assert plan.returncode == 0
    assert "--data-dir" in plan.stdout


def test_a_download_that_is_something_else(monkeypatch):
    import io

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"<html>not found</html>"))
    with pytest.raises(PrerequisiteError, match="wrong sha256"):
        data.read(columns("x.jsonl", b"as it should be"))
    assert not list((data.cache_dir() / "data").glob("*"))


def test_a_task_without_data_fails_alone_and_is_tried_again(monkeypatch, tiny_model, tmp_path):
    """The same command completes once the data are there."""
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    arguments = hf(tiny_model, tmp_path / "results", "--tasks", "pku")
    done = command(*arguments)
    assert done.returncode == 1
    assert "pku failed: cannot get the data" in done.stdout
    (path,) = tmp_path.glob("results/*/*/run.json")
    states = {task["name"]: task["status"] for task in json.loads(path.read_text())["tasks"]}
    assert states == {"starter_harmful": "complete", "pku": "failed"}
    rows = b"".join(json.dumps({"prompt": f"Hi {n}?"}).encode() + b"\n" for n in range(2))
    (tmp_path / "pku_safety_test.jsonl").write_bytes(rows)
    monkeypatch.setattr(listing, "include", lambda folders, allow_code: None)  # would read the task files again
    monkeypatch.setitem(listing.tasks()["pku"].config["dataset_kwargs"], "sha256", data.sha256(rows))
    done = command(*arguments, "--data-dir", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["responses"] == {"generated": 2, "from_store": 2}
