"""`mlc-bench leaderboard curves`: points of one run's checkpoints by step, and no number of its own."""

import csv
import io
import json

import helpers
import pytest
import sample_records
from sample_records import sha

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard import build, curves, lineage, redact
from mlc_bench.leaderboard.render import to_curves, to_json
from mlc_bench.records import aggregate, selectivity
from mlc_bench.records.comparing import compare

CHANCES = {0: 0.3, 10: 0.55, 20: 0.8}


def checkpoint(step, **others):
    return sample_records.checkpoint(step, CHANCES[step], **others)


def records(**others):
    base = sample_records.summarised(sample_records.make("base", chance=CHANCES[0], **others))
    return [base, checkpoint(10, **others), checkpoint(20, **others)]


def rows(folder):
    text = (folder / "curves.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def folder(tmp_path):
    return sample_records.save(tmp_path / "records", *records())


def test_a_manifest_says_the_run_and_the_step():
    found = checkpoint(10).model
    assert (lineage.run(found), lineage.step(found), lineage.base_digest(found)) == (
        "a" * 12,
        10,
        sha("weights base"),
    )
    result = found.model_copy(update={"training": {"run": "a" * 12, "steps": 20}})
    assert lineage.step(result) == 20
    unknown = found.model_copy(update={"training": {"run": 7, "step": True}})
    assert (lineage.run(unknown), lineage.step(unknown)) == (None, None)


def test_a_published_record_still_knows_its_place():
    model = redact.published(checkpoint(10)).model
    assert (lineage.run(model), lineage.step(model)) == ("a" * 12, 10)


def test_every_number_is_that_of_its_record(folder, tmp_path):
    """Selectivity's from records/selectivity.py, PAG and utility from the records themselves."""
    (found,), left_out = curves.of_paths([folder])
    assert (found.steps, left_out) == ([0, 10, 20], [])
    by_place = {(p.step, p.measure, p.task, p.language): p.value for p in found.points}
    for step, record in zip((0, 10, 20), records(), strict=True):
        (pair,) = selectivity.of_record(record)
        for code, row in {**pair.languages, "all": pair.mean}.items():
            assert by_place.pop((step, "refusal", "harm", code)) == row.harmful
            assert by_place.pop((step, "over_refusal", "harm", code)) == row.harmless
            assert by_place.pop((step, "selectivity", "harm", code)) == row.difference
        for task in record.tasks:
            assert by_place.pop((step, "pag", task.name, "all")) == task.summary["pag"]
        quiz = record.tasks[-1]
        assert by_place.pop((step, "utility", "quiz", "all")) == quiz.summary["average"]
        for code, result in quiz.languages.items():
            assert by_place.pop((step, "utility", "quiz", code)) == result.metrics["acc"]
    assert not by_place


def test_fidelity_is_of_each_language_and_of_all_but_english_together(tmp_path):
    made = records()
    for step, record in enumerate(made):
        shares = {code: 1.0 if code == "en" else 0.8 - 0.3 * step for code in record.tasks[0].languages}
        for code, share in shares.items():
            rate = aggregate.rate(round(share * 40), 40)
            record.tasks[0].languages[code].metrics["language_fidelity"] = rate
    (found,), _ = curves.of_paths([sample_records.save(tmp_path / "records", *made)])
    points = {(p.step, p.language): p for p in found.points if p.measure == "fidelity"}
    codes = list(made[0].tasks[0].languages)
    assert {code for _, code in points} == {*codes, "all"}
    assert [points[step, "en"].value.value for step in (0, 10, 20)] == [1.0, 1.0, 1.0]
    together = [points[step, "all"] for step in (0, 10, 20)]
    assert [one.value.value for one in together] == pytest.approx([0.8, 0.5, 0.2])
    assert together[0].languages == tuple(code for code in codes if code != "en")
    assert together[0].value.n == 40 * (len(codes) - 1)
    assert all(one.value.low < one.value.value < one.value.high for one in together)


def test_changes_between_steps_are_those_of_compare(folder):
    (found,), _ = curves.of_paths([folder])
    compared = compare.compare([records()[0], records()[2]])[0].tasks[0]
    value = {(p.step, p.language): p.value.value for p in found.points if p.measure == "refusal"}
    assert compared.languages
    for code, change in compared.languages.items():
        assert value[20, code] - value[0, code] == pytest.approx(change.difference)


def test_the_command_writes_a_sheet_and_a_figure(folder, tmp_path):
    out = tmp_path / "out"
    done = helpers.command("leaderboard", "curves", folder, "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"run {'a' * 12} (dpo+mlc), judge rules: steps 0, 10, 20\n3 files in ")
    found = rows(out)
    (row,) = (r for r in found if (r["step"], r["measure"], r["language"]) == ("10", "selectivity", "sw"))
    (pair,) = selectivity.of_record(records()[1])
    wanted = pair.languages["sw"].difference
    assert [float(row[name]) for name in ("value", "low", "high")] == pytest.approx(
        [wanted.value, wanted.low, wanted.high], abs=1e-5
    )
    assert row["base_model"] == "base"
    svg = (out / f"curves-{'a' * 12}-rules-1.svg").read_bytes()
    assert b"<svg" in svg
    again = helpers.command("leaderboard", "curves", folder, "--out", out, "--json")
    assert json.loads(again.stdout)["left_out"] == []
    assert (out / f"curves-{'a' * 12}-rules-1.svg").read_bytes() == svg


def test_the_figure_has_a_panel_for_each_measure_and_a_line_for_each_language(folder):
    (found,), _ = curves.of_paths([folder])
    figure = to_curves.figure(found)
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert sorted(labels) == sorted(
        [
            "refusal of harmful prompts (%)",
            "refusal of harmless prompts (%)",
            "selectivity (points)",
            "PAG",
            "utility (%)",
        ]
    )
    (legend,) = figure.legends
    assert sorted(text.get_text() for text in legend.get_texts()) == ["ar", "en", "mean", "ps", "sw"]
    panel = figure.axes[labels.index("selectivity (points)")]
    assert len(panel.containers) == 4  # lines with intervals
    (mean,) = (line for line in panel.lines if line.get_label() == "harm")
    wanted = [100 * p.value.value for p in found.points if (p.measure, p.language) == ("selectivity", "all")]
    assert list(mean.get_ydata()) == pytest.approx(wanted)


def test_what_was_asked_otherwise_is_in_no_curve(tmp_path):
    """The base model's record has another version of one task, a checkpoint's too few languages for a mean."""
    other = sample_records.summarised(sample_records.make("base", chance=0.3, version=2))
    folder = sample_records.save(tmp_path, other, checkpoint(10), checkpoint(20, languages=("en", "sw")))
    (found,), left_out = curves.of_paths([folder])
    refusal = {(p.step, p.language) for p in found.points if p.measure == "refusal"}
    assert {(10, "en"), (20, "en"), (10, "ps")} <= refusal
    assert not [place for place in refusal if place[0] == 0]
    assert {(p.step, p.language) for p in found.points if p.measure == "over_refusal" and p.language == "en"} == {
        (0, "en"), (10, "en"), (20, "en")
    }  # fmt: skip
    assert any("refusal of harm (en) at step 0: not asked or judged" in one.reason for one in left_out)


def test_runs_and_judges_have_curves_of_their_own(tmp_path):
    several = [checkpoint(10), checkpoint(20), checkpoint(20, run="b" * 12), checkpoint(10, judge="strict")]
    for place, one in enumerate(several):
        several[place] = one.model_copy(update={"run_id": f"{place:012d}"})
    found, _ = curves.of_paths([sample_records.save(tmp_path, *several)])
    assert [(one.run[0], one.judge, one.steps) for one in found] == [
        ("a", "rules", [10, 20]), ("a", "strict", [10]), ("b", "rules", [20])
    ]  # fmt: skip


def test_judges_of_one_name_have_curves_and_figures_of_their_own(tmp_path):
    first, second = checkpoint(10), checkpoint(10)
    other = second.judge.model_copy(update={"digest": sha("another judge of this name")})
    second = second.model_copy(update={"judge": other, "run_id": "c" * 12})
    found, _ = curves.of_paths([sample_records.save(tmp_path, first, second)])
    assert {one.judge for one in found} == {f"rules [{one.judge.digest[:8]}]" for one in (first, second)}
    assert len(to_curves.files(found)) == 1 + 2 * 2


def test_the_newer_of_two_records_of_a_step_counts(tmp_path):
    older = checkpoint(20)
    newer = checkpoint(20, strings={"harm": {code: "1" * 40 for code in sample_records.LANGUAGES}})
    newer = newer.model_copy(update={"run_id": "f" * 12, "finished": "2026-11-02T00:00:00+00:00"})
    (found,), _ = curves.of_paths([sample_records.save(tmp_path, newer, older)])
    assert {p.value.value for p in found.points if (p.measure, p.language) == ("refusal", "en")} == {1.0}


def test_records_of_no_run(tmp_path):
    folder = sample_records.save(tmp_path / "records", *sample_records.family())
    done = helpers.command("leaderboard", "curves", folder, "--out", tmp_path / "out")
    helpers.check_failed(done, 2, "says its run and step", "--score-every")
    assert not (tmp_path / "out").exists()


def test_a_leaderboards_folder_is_left_alone(folder, tmp_path):
    out = tmp_path / "board"
    assert helpers.command("leaderboard", "build", folder, "--out", out, "--no-plots", "--no-page").returncode == 0
    names = sorted(path.name for path in out.iterdir())
    helpers.check_failed(helpers.command("leaderboard", "curves", folder, "--out", out), 2, "name another folder")
    assert sorted(path.name for path in out.iterdir()) == names


@pytest.mark.parametrize("run", ["../../x", "a b", "=1+1", "x" * 90])
def test_a_hostile_name_of_a_run_is_left_out(run, tmp_path):
    folder = sample_records.save(tmp_path, checkpoint(10, run=run))
    with pytest.raises(UsageError, match="none of the records"):
        curves.of_paths([folder])


def lines(board):
    """Of the page's data: run -> (task, measure, language or all) -> its line."""
    found = json.loads(to_json.document(board)).get("curves", [])
    return {
        one["run"]: {(line["task"], line["measure"], line["language"] or "all"): line for line in one["lines"]}
        for one in found
    }


def test_the_page_has_the_numbers_of_the_curves(folder):
    board = build.leaderboard([folder])
    (found,) = curves.of_paths([folder])[0]
    assert board.curves == (found,)
    (shown,) = lines(board).values()
    assert shown.keys() == found.lines().keys()
    for place, points in found.lines().items():
        line = shown[place]
        assert [one["step"] for one in line["points"]] == [0, 10, 20]
        for one, point in zip(line["points"], points, strict=True):
            for name in ("value", "low", "high"):
                assert one[name] == pytest.approx(getattr(point.value, name), abs=1e-9)
            assert (one["n"], tuple(one.get("languages", ()))) == (point.value.n, point.languages)
    units = {measure: line["unit"] for (_, measure, _), line in shown.items()}
    assert units == {
        "refusal": "percent", "over_refusal": "percent", "selectivity": "points", "pag": "number", "utility": "percent"
    }  # fmt: skip


def test_one_step_is_no_curve_of_the_page(tmp_path):
    """Nor is a slice of the data, which is in no table."""
    limited = checkpoint(10, limit=5).model_copy(update={"run_id": "d" * 12})
    board = build.leaderboard([sample_records.save(tmp_path, checkpoint(20), limited)])
    assert board.curves == ()
    assert '"curves"' not in to_json.document(board)
    assert len(board.tasks[0].rows) == 1


def test_the_base_model_is_a_step(tmp_path):
    base, *_, last = records()
    board = build.leaderboard([sample_records.save(tmp_path, base, last)])
    assert [one.steps for one in board.curves] == [[0, 20]]


def test_a_base_model_and_the_result_of_a_training_are_no_curve_of_the_page(tmp_path):
    """A leaderboard has many of them; `curves` draws them if asked."""
    base, *_, last = records()
    del last.model.training["step"]
    folder = sample_records.save(tmp_path, base, last)
    assert build.leaderboard([folder]).curves == ()
    assert [one.steps for one in curves.of_paths([folder])[0]] == [[0, 20]]


def test_a_result_is_the_last_step_of_its_checkpoints(tmp_path):
    _, middle, last = records()
    del last.model.training["step"]
    assert [one.steps for one in build.leaderboard([sample_records.save(tmp_path, middle, last)]).curves] == [[10, 20]]


def test_a_checkpoint_with_the_weights_of_its_base_is_not_step_0(tmp_path):
    """The first one of a warm-up: whole weights, which are still those that the training began with."""
    made = records()[1:]
    for one in made:
        one.model.adapter = None
        one.model.training["base_model"]["weights_digest"] = one.model.weights_digest
    assert [one.steps for one in build.leaderboard([sample_records.save(tmp_path, *made)]).curves] == [[10, 20]]


def test_a_language_without_answers_is_marked(tmp_path):
    made = records()
    last = made[2].tasks[1]
    text = sample_records.outcomes("silent", "benign", ("sw",), 40, invalid=0.5)["sw"]
    last.languages["sw"] = sample_records.task_result("benign", "over_refusal", None, {"sw": text}).languages["sw"]
    last.languages["sw"].comparability_key = made[1].tasks[1].languages["sw"].comparability_key
    board = build.leaderboard([sample_records.save(tmp_path, *made)])
    (shown,) = lines(board).values()
    for measure in ("refusal", "over_refusal", "selectivity"):
        marks = [one.get("unanswered", False) for one in shown["harm", measure, "sw"]["points"]]
        assert marks == [False, False, True]
        assert not any("unanswered" in one for one in shown["harm", measure, "en"]["points"])


def test_records_that_do_not_say_what_is_invalid(tmp_path):
    made = records()
    for task in (task for one in made for task in one.tasks):
        for result in task.languages.values():
            result.metrics.pop("invalid_rate", None)
    assert [one.steps for one in build.leaderboard([sample_records.save(tmp_path, *made)]).curves] == [[0, 10, 20]]


def test_what_compares_with_nothing_is_no_curve_of_the_page(tmp_path):
    """Two steps, and not one task that was asked alike at both."""
    tasks = (("harm", "safety", "benign"), ("benign", "over_refusal", None))
    old = checkpoint(10, tasks=tasks, system_prompt="Be brief.")
    board = build.leaderboard([sample_records.save(tmp_path, old, checkpoint(20, tasks=tasks))])
    assert board.curves == ()


def test_where_selectivity_is_highest(tmp_path):
    """A wide interval reaches the highest number; a narrow one far below it does not."""
    harmful = {0: "0" * 40, 10: "1" * 36 + "0" * 4, 20: "1" * 34 + "0" * 6}
    made = [
        checkpoint(step, run="a" * 12, strings={
            "harm": {code: outcomes for code in sample_records.LANGUAGES},
            "benign": {code: "0" * 40 for code in sample_records.LANGUAGES},
        }) if step else
        sample_records.summarised(sample_records.make("base", strings={
            "harm": {code: outcomes for code in sample_records.LANGUAGES},
            "benign": {code: "0" * 40 for code in sample_records.LANGUAGES},
        }))
        for step, outcomes in harmful.items()
    ]  # fmt: skip
    board = build.leaderboard([sample_records.save(tmp_path, *made)])
    (shown,) = lines(board).values()
    assert shown["harm", "selectivity", "en"]["peak"] == {"step": 10, "reached_by": [20]}
    assert {measure for (_, measure, _), line in shown.items() if "peak" in line} == {"selectivity"}


def test_checkpoints_are_rows_of_the_tables(folder):
    board = build.leaderboard([folder])
    labels = {row.model.label for row in board.headline[0].rows}
    assert labels == {"base", "base + checkpoint-10", "base + checkpoint-20"}
