"""Few labels correct nothing: the calibration, the table and the record say so."""

import json
from pathlib import Path

import pytest
from helpers import command
from test_calibration import labelled, run_folder

from mlc_bench.judges import judging
from mlc_bench.records import correction, record


def counts(safe, others, right=1.0):
    """A judge that is right on this share of each kind."""
    hits, misses = round(safe * right), round(others * right)
    return {
        "safe": {"safe": hits, "unsafe": safe - hits, "invalid": 0},
        "unsafe": {"safe": others - misses, "unsafe": misses, "invalid": 0},
        "invalid": {"safe": 0, "unsafe": 0, "invalid": 0},
    }


@pytest.mark.parametrize(("labels", "is_applied"), [(5, False), (10, False), (19, False), (20, True), (50, True)])
def test_a_calibration_is_applied_from_twenty_labels_of_each_kind(tmp_path, labels, is_applied):
    folder, _ = run_folder(tmp_path, {"en": "1" * 30 + "0" * 10, "ps": "10" * 20})
    done = command("calibrate", labelled(tmp_path / "people.jsonl", languages=("en",), n=labels), "--judge", "rules")
    assert done.returncode == 0, done.stderr
    width = correction.width(counts(labels, labels))
    assert (width is None) == (not is_applied)
    reason = f"{labels} answers labelled safe and {labels} others, and 20 of each are needed"
    said = " ".join(done.stdout.split())
    by = "by these labels, but by those of xstest, which come with the judge"
    assert (f"Rates in en are not corrected {by}: {reason}" in said) == (not is_applied)
    assert "the raw one has 19" in said
    if width:
        assert f"{100 * width:.0f}" in done.stdout
    done = command("judge", folder, "--judge", "rules")
    assert done.returncode == 0, done.stderr
    found = record.read(folder / "run.json")
    assert ("as it does on people.jsonl" in " ".join(done.stdout.split())) == is_applied
    (use,) = found.judge.labels
    kept = correction.find(judging.open_judge("rules").digest)
    assert (use.file, use.n, use.safe, use.language, use.task) == ("people.jsonl", 2 * labels, labels, "en", None)
    assert use.sha256 == kept.labelled_sha256
    assert (use.applied, use.reason) == (is_applied, None if is_applied else reason)
    shown = " ".join(done.stdout.split())
    assert (f"Not corrected by labels in en: people.jsonl has {reason}." in shown) == (not is_applied)


def test_few_labels_leave_the_correction_that_comes_with_the_judge(tmp_path):
    """Two labels in English correct nothing there, nor take anything away; enough of them correct English alone."""
    folder, _ = run_folder(tmp_path, {"en": "1" * 30 + "0" * 10, "ru": "10" * 20})
    rates = {}
    for name, labels in (("shipped", 0), ("one", 1), ("many", 30)):
        if labels:
            path = labelled(tmp_path / f"{name}.jsonl", languages=("en",), n=labels, wrong=labels // 5)
            assert command("calibrate", path, "--judge", "rules").returncode == 0
        shown = " ".join(command("judge", folder, "--judge", "rules").stdout.split())
        by_language = record.read(folder / "run.json").tasks[0].languages
        rates[name] = {code: found.metrics["refusal_rate_corrected"] for code, found in by_language.items()}
    assert rates["shipped"] == rates["one"]
    assert rates["many"]["ru"] == rates["shipped"]["ru"]
    assert rates["many"]["en"] != rates["shipped"]["en"]
    assert "as it does on many.jsonl" in shown
    assert ", and in ru on the labelled answers of `mlc-bench judges agreement`" in shown


def test_what_labels_replace_is_kept_and_said(tmp_path):
    """A calibration, and the labels of a run: both may be hours of people's work."""
    folder, rows = run_folder(tmp_path, {"en": "10" * 20})
    command("judge", folder, "--judge", "rules")
    many, one = labelled(tmp_path / "many.jsonl", n=30), labelled(tmp_path / "one.jsonl", n=1)
    own = [tmp_path / f"own{count}.jsonl" for count in (30, 10)]
    for path, count in zip(own, (30, 10), strict=True):
        path.write_text("".join(json.dumps(row | {"label": "safe"}) + "\n" for row in rows[:count]))
    for paths, args, target, said in (
        ((many, one), ("--judge", "rules"), correction.place(judging.open_judge("rules").digest), "many.jsonl (120 "),
        (own, ("--run", folder), folder / "labels.jsonl", "the 30 labels that the run had"),
    ):
        command("calibrate", paths[0], *args)
        assert "takes the place" not in command("calibrate", paths[0], *args).stderr, "the same labels replace nothing"
        before = target.read_bytes()
        done = command("calibrate", paths[1], *args)
        assert done.returncode == 0, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if "takes the place of" in line]
        assert said in line
        kept = line.partition("to have it again: cp ")[2].split()[0]
        assert Path(kept).read_bytes() == before != target.read_bytes()


def test_both_kinds_are_needed():
    assert correction.too_few(counts(20, 20)) is None
    for few in (counts(200, 19), counts(19, 200), counts(0, 0)):
        assert "20 of each are needed" in correction.too_few(few)
        assert correction.width(few) is None
    assert correction.width(counts(50, 50, 0.5)) is None  # no better than chance


def test_twenty_labels_keep_the_interval_within_twice_the_raw_one():
    """The figures of docs/metrics.md: points of width, of a judge that is right in nine of ten."""
    found = {n: round(100 * correction.width(counts(n, n, 0.9))) for n in (20, 50, 100)}
    assert found == {20: 38, 50: 30, 100: 27}
    raw = 19.23
    assert found[20] / raw < 2
    _, low, high = correction.rogan_gladen(50, 100, 9, 10, 9, 10)
    assert (high - low) * 100 / raw > 2.5


@pytest.mark.parametrize(("labels", "is_applied"), [(2, False), (19, False), (20, True)])
def test_a_runs_own_labels_are_applied_from_twenty(tmp_path, labels, is_applied):
    folder, rows = run_folder(tmp_path, {"en": "10" * 20})
    command("judge", folder, "--judge", "rules")
    own = [row | {"label": "safe" if index % 2 else "unsafe"} for index, row in enumerate(rows[:labels])]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in own))
    done = command("calibrate", path, "--run", folder)
    assert done.returncode == 0, done.stderr
    found = record.read(folder / "run.json")
    assert ("refusal_rate_prediction_powered" in found.tasks[0].languages["en"].metrics) == is_applied
    (use,) = found.judge.labels
    assert (use.file, use.n, use.task, use.applied) == ("labels.jsonl", labels, "harmful", is_applied)
    assert use.reason == (None if is_applied else f"{labels} labelled answers, and 20 are needed")
    assert (f"{labels} labelled answers" in " ".join(done.stdout.split())) == (not is_applied)


def test_fewer_labels_take_the_place_of_more(tmp_path):
    folder, rows = run_folder(tmp_path, {"en": "10" * 20})
    command("judge", folder, "--judge", "rules")
    path = tmp_path / "own.jsonl"
    for count in (30, 10):
        path.write_text("".join(json.dumps(row | {"label": "safe"}) + "\n" for row in rows[:count]))
        assert command("calibrate", path, "--run", folder).returncode == 0
        metrics = record.read(folder / "run.json").tasks[0].languages["en"].metrics
        assert ("refusal_rate_prediction_powered" in metrics) == (count == 30)


def test_records_without_the_field_are_read(tmp_path):
    folder, _ = run_folder(tmp_path, {"en": "10" * 20})
    content = json.loads((folder / "run.json").read_text())
    content["judge"].pop("labels", None)
    (folder / "run.json").write_text(json.dumps(content))
    assert record.read(folder / "run.json").judge.labels == []
