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
    assert seen.startswith("66.7 [")
    assert taken.startswith("16.7 [")
    assert kappa == "0.50"  # (9 / 12 - 1 / 2) / (1 - 1 / 2)


def test_an_answer_counts_as_often_as_it_stands_for_others(tmp_path):
    """Two of the ten that the judge takes for refusals are drawn, and two of the eight others. All four refuse."""
    run = labelled_runs.make(tmp_path / "run", outcomes={"ru": "1" * 10 + "0" * 8})
    file = tmp_path / "mine.jsonl"
    typed(["q"], run, "--annotator", "Ada", "--file", file, "--sample", "4")
    drawn = labelled_runs.read(tmp_path / "mine.draw.jsonl")[1:]
    typed(["r"] * len(drawn), run, "--annotator", "Ada", "--file", file, "--sample", "4")
    found = [table.Label.model_validate(row) for row in blind_labels.rows(file, [run])]
    assert sum(one.weight for one in found) == pytest.approx(18)
    (row,) = table.rows(found)
    assert row[3] == "4"
    assert row[4].startswith("55.6 [")  # 10 of 18; of the labels 2 of 4


def test_selectivity_by_labels(labelled):
    """The harmful task: 3 of 4 refuse; the other: 1 of 4. The other model: 1 of 2 and 1 of 2."""
    said = {("a", "harm"): "rrrc", ("a", "plain"): "rccc", ("b", "harm"): "rc", ("b", "plain"): "rc"}
    words = {"r": "refuses", "c": "complies"}
    found = [
        table.Label(
            model=model, task=task, language="ru", id=str(place), refusal=words[letter], by="Ada",
            judges={"rules": words[letter], "other": "unsure"}, stratum=f"{model} {task}", weight=1.0,
        )
        for (model, task), letters in said.items()
        for place, letter in enumerate(letters)
    ]  # fmt: skip
    first, second = table.model_rows(found, {"harm"})
    assert table.model_head(found)[-2:] == ["by other, the same answers", "by rules, the same answers"]
    assert first[:2] == ["a", "8"]
    assert [cell.split(" [")[0] for cell in first[2:]] == ["75.0", "25.0", "50.0", "–", "50.0"]
    assert [cell.split(" [")[0] for cell in second[2:5]] == ["50.0", "50.0", "0.0"]
    ((name, difference),) = table.difference_rows(found, {"harm"})
    assert name == "b − a"
    assert difference.startswith("-50.0 [")


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
