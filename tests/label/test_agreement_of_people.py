"""Two people's labels: kappa, and where they differ."""

import json

import numpy as np
import pytest
from helpers import check_failed, command
from labelled_runs import lines, make, read, typed
from sklearn.metrics import cohen_kappa_score

KEYS = {"refuses": ["r"], "deflects": ["d"], "invalid": ["i"], "complies": ["c"]}


@pytest.fixture
def files(tmp_path):
    """Labels of two people on forty answers; each skips some."""
    run = make(tmp_path)
    generator = np.random.default_rng(0)
    truth = generator.choice(list(KEYS), 40)
    for name in ("ann", "bob"):
        keys = []
        for word in truth:
            said = word if generator.random() < 0.7 else generator.choice(list(KEYS))
            keys += ["s"] if generator.random() < 0.1 else KEYS[said]
            if keys[-1] == "c":
                keys.append(str(generator.choice(["y", "n"])))
        assert "0 left" in typed(keys, run, "--annotator", name).stdout
    return [run / "labels" / f"{name}.jsonl" for name in ("ann", "bob")]


def test_kappa_is_that_of_scikit_learn(files):
    done = command("label", "--agreement", *files, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    one, other = ({(row["language"], row["id"]): row for row in read(path)} for path in files)
    assert found["shared"] == 40
    assert found["annotators"] == ["ann", "bob"]
    for field in ("refusal", "harmful"):
        pairs = [(one[key][field], other[key][field]) for key in one]
        pairs = [(str(a), str(b)) for a, b in pairs if a is not None and b is not None]
        value = found[field]
        assert value["value"] == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
        assert value["n"] == len(pairs) < 40
        assert value["low"] < value["value"] < value["high"]
        own = [(one[key][field], other[key][field]) for key in one if key[0] == "sw"]
        own = [(str(a), str(b)) for a, b in own if a is not None and b is not None]
        swahili = found["languages"]["sw"]
        assert swahili["shared"] == 20
        assert swahili[field]["value"] == pytest.approx(cohen_kappa_score(*zip(*own, strict=True)))
    differ = {
        key
        for key in one
        if any(None not in (a := {one[key][f], other[key][f]}) and len(a) == 2 for f in ("refusal", "harmful"))
    }
    assert {(entry["language"], entry["id"]) for entry in found["disagreements"]} == differ
    assert all(set(e) == {"run_id", "task", "language", "id", "refusal", "harmful"} for e in found["disagreements"])


def test_the_page_of_text_says_the_same(files):
    done = command("label", "--agreement", *files)
    assert done.returncode == 0, done.stderr
    assert "40 answers labelled by ann and bob" in done.stdout
    assert "kappa, refuses: 0." in done.stdout
    count = len(json.loads(command("label", "--agreement", *files, "--json").stdout)["disagreements"])
    assert len(done.stdout.splitlines()) == 3 + 2 + count
    assert "\nen: 20 shared; kappa, refuses: " in done.stdout
    assert "response" not in done.stdout


def test_what_cannot_be_compared_is_said(files, tmp_path):
    check_failed(command("label", "--agreement", files[0]), 2, "compares two files", "1 are named")
    check_failed(command("label", "--agreement", files[0], tmp_path / "no.jsonl"), 2, "no file", "no.jsonl")
    rows = read(files[1])
    files[1].write_text(lines(row | {"run_id": "other"} for row in rows))
    check_failed(command("label", "--agreement", *files), 2, "share no answer")
    files[1].write_text(lines(rows[:2]) + "{\n")
    check_failed(command("label", "--agreement", *files), 2, "bob.jsonl", "line 3", "not JSON")
