"""Samples, verdicts or labels of a run that are damaged or edited: stale (exit code 4) for all that reads them."""

import json

import pytest
from helpers import check_failed, command
from test_calibration import run_folder

SAMPLES, VERDICTS, LABELS = "samples/harmful.jsonl", "verdicts/rules/harmful.jsonl", "labels.jsonl"


@pytest.fixture
def run(tmp_path):
    folder, _ = run_folder(tmp_path, {"en": "10" * 10, "sw": "10" * 10})
    assert command("judge", folder, "--judge", "rules").returncode == 0
    return folder


def cut(path):
    path.write_text(path.read_text()[:-20])


def empty(path):
    path.write_text("")


def fewer(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))


def put(field, value):
    def change(path):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        rows[1][field] = value
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return change


DAMAGED = {
    "samples cut": (SAMPLES, cut, "line 40: not JSON"),
    "samples empty": (SAMPLES, empty, "has no rows"),
    "samples of no id": (SAMPLES, put("id", None), "line 2: 'id' and 'language'"),
    "an answer of no text": (SAMPLES, put("response", 5), "line 2: 'response' must be text"),
    "verdicts cut": (VERDICTS, cut, "line 40: not JSON"),
    "an unknown verdict": (VERDICTS, put("verdict", "huh"), "line 2: 'verdict' must be null or one of"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_a_run_left_is_stale_where_it_is_damaged(name, run, tmp_path):
    file, spoil, words = DAMAGED[name]
    spoil(run / file)
    own = tmp_path / "own.jsonl"
    own.write_text('{"id": "0", "language": "en", "label": "safe"}\n')
    commands = {
        "export": ("export", run, "--to", "inspect"),
        "calibrate": ("calibrate", own, "--run", run),
        "label": ("label", run, "--annotator", "ann", "--page", tmp_path / "page.html"),
    }
    if file == SAMPLES:  # the verdicts are made anew
        commands["judge"] = ("judge", run, "--judge", "rules")
    before = (run / "run.json").read_bytes()
    for args in commands.values():
        check_failed(command(*args), 4, f"{run / file}", words, "; ")
    assert (run / "run.json").read_bytes() == before
    if file == VERDICTS:
        assert command("judge", run, "--judge", "rules").returncode == 0, "as the message says"


def test_other_answers_than_the_record_has_are_not_judged(run):
    fewer(run / SAMPLES)
    check_failed(command("judge", run, "--judge", "rules"), 4, SAMPLES, "other answers than the record")


@pytest.mark.parametrize(
    "text", ['{"task": "har', "{}\n", '{"task": "harmful", "language": "en", "id": "0", "label": 5}\n']
)
def test_damaged_labels_of_a_run_are_stale(text, run):
    (run / LABELS).write_text(text)
    check_failed(command("judge", run, "--judge", "rules"), 4, f"{run / LABELS}, line 1", "calibrate FILE --run RUN")
