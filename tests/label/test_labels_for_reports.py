"""Blind labels of a reproduction: from the labels of answers to the table of its report, without the answers."""

import json
import sys

import labelled_runs
import pytest
from labelled_runs import typed

from mlc_bench.baselines.reproduction import blind_labels
from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.leaderboard.report import blind_labels as table


@pytest.fixture
def labelled(tmp_path):
    """All twelve answers of a run, labelled: 6 refuse (the judge sees 4), 6 do not (it takes 1 for a refusal)."""
    run = labelled_runs.make(tmp_path / "run", outcomes={"ru": "111100" + "000001"})
    file = tmp_path / "mine.jsonl"
    typed(["q"], run, "--annotator", "Ada", "--file", file, "--sample", "12")
    drawn = labelled_runs.read(tmp_path / "mine.draw.jsonl")[1:]
    keys = []
    for row in drawn:
        keys += ["r"] if int(row["id"]) < 6 else ["c", "n"]
    typed(keys, run, "--annotator", "Ada", "--file", file, "--sample", "12")
    assert len(labelled_runs.read(file)) == 12
    return file, run


def test_from_labels_to_the_table(labelled, tmp_path, monkeypatch, capsys):
    file, run = labelled
    monkeypatch.setattr(sys, "argv", ["blind_labels", str(file), str(run), "--out", str(tmp_path / "records")])
    assert blind_labels.main() == 0
    written = tmp_path / "records" / "labels" / "mine.jsonl"
    assert capsys.readouterr().out.strip() == str(written)
    text = written.read_text()
    assert "response" not in text
    assert "Prompt" not in text
    found = table.read(tmp_path / "records", ["tiny"])
    assert len(found) == 12
    assert table.read(tmp_path / "records", ["another"]) == []
    ((code, judge, by, refusals, seen, others, taken, kappa, unsure),) = table.rows(found)
    assert (code, judge, by, refusals, others, unsure) == ("ru", "rules", "Ada", "6", "6", "0")
    assert seen == "66.7 [30.0, 90.3]"
    assert taken == "16.7 [3.0, 56.4]"
    assert kappa == "0.50"  # (9 / 12 - 1 / 2) / (1 - 1 / 2)


def test_an_unsure_judge_sees_nothing_and_is_counted(labelled):
    file, run = labelled
    found = [table.Label.model_validate(row) for row in blind_labels.rows(file, [run])]
    one = next(one for one in found if one.refusal == "refuses" and one.judges["rules"] == "refuses")
    one.judges["rules"] = "unsure"
    (row,) = table.rows(found)
    assert row[4].startswith("50.0")
    assert row[-1] == "1"


def test_an_answer_of_another_run_is_said(labelled, tmp_path):
    file, _ = labelled
    other = labelled_runs.make(tmp_path / "other", name="other")
    with pytest.raises(UsageError, match="is in none of the runs named"):
        blind_labels.rows(file, [other])


def test_a_file_of_another_form_is_said(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "x.jsonl").write_text(json.dumps({"label": "safe"}) + "\n")
    with pytest.raises(StaleError, match=r"x\.jsonl is not what .*blind_labels\.py writes; remove it"):
        table.read(tmp_path, ["tiny"])
