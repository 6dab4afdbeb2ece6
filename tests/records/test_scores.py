"""Utility metrics that are not right or wrong: means, F1, chrF. By hand, in records, comparisons and tables."""

import json
import math

import pytest
import sample_records
from boards import board, cell, task_table
from helpers import check_failed, command
from runs_to_compare import make_run, make_task, write

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.leaderboard import collect
from mlc_bench.leaderboard.render import to_json, to_markdown
from mlc_bench.records import aggregate, record, run_table
from mlc_bench.records.comparing import compare

F1 = {"en": [0.5, 0.75, 1.0, 0.25], "sw": [0.0, 0.5, 0.5, 1.0]}
CHRF = {"en": [40.0, 60.0, 55.5, 44.5], "sw": [20.0, 30.0, 25.0, 25.0]}


def utility(scores, lower_is_better=False):
    task = make_task(scores, name="quiz", measures="utility")
    task.lower_is_better = lower_is_better
    aggregate.summarise(task, seed=0)
    return task


# value: the mean; half: t(0.975, 3) = 3.182446 times sd / 2.
@pytest.mark.parametrize(
    ("scores", "value", "low", "high"),
    [
        ([0.5, 0.75, 1.0, 0.25], 0.625, 0.625 - 3.182446 * 0.3227486 / 2, 1.0),  # cut: no F1 is above 1
        ([40.0, 60.0, 55.5, 44.5], 50.0, 50 - 3.182446 * 9.3184 / 2, 50 + 3.182446 * 9.3184 / 2),
        ([-3.0, -1.0, 1.0, 3.0], 0.0, -3.182446 * 2.5819889 / 2, 3.182446 * 2.5819889 / 2),
        ([0.5, math.nan, 0.75, math.nan, 1.0, 0.25], 0.625, 0.625 - 3.182446 * 0.3227486 / 2, 1.0),
        ([0.5, 0.5], 0.5, 0.094531, 0.905469),  # equal fractions: Wilson's interval of one in two
        ([41.0, 41.0], 41.0, None, None),  # equal scores on a scale that is not known
        ([7.25], 7.25, None, None),
    ],
)
def test_a_mean_and_its_interval(scores, value, low, high):
    task = make_task({"en": scores}, measures="utility")
    found = task.languages["en"].metrics["acc"]
    known = [score for score in scores if not math.isnan(score)]
    assert found.value == pytest.approx(value)
    assert found.n == len(known)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-3)
    assert task.languages["en"].n_unscored == len(scores) - len(known)
    assert task.languages["en"].outcomes is None
    assert [score for score in task.languages["en"].scores if score is not None] == known


def test_right_or_wrong_stays_a_rate():
    found = make_task({"en": [1.0, 0.0, 1.0, math.nan]}, measures="utility").languages["en"]
    assert found.metrics["acc"] == aggregate.rate(2, 3)
    assert (found.outcomes, found.scores, found.n_unscored) == ("101-", None, 1)


@pytest.mark.parametrize("metric", ["other"])
def test_other_metrics_of_a_task_keep_their_mean_too(metric):
    task = make_task({"en": "1"}, measures="utility")
    samples = [{"metrics": {"acc": 1.0, metric: value}} for value in (0.25, 0.5, 12.0)]
    found = aggregate.language_result(task, samples, None, {"data_fingerprint": "d", "prompt_fingerprint": "p"})
    assert found.metrics[metric].value == pytest.approx(4.25)
    assert found.outcomes == "111"


def test_over_languages_nothing_is_rounded_or_cut():
    fractions, others = utility(F1).summary, utility(CHRF).summary
    assert fractions["average"].value == pytest.approx((0.625 + 0.5) / 2)
    assert fractions["average"].low < fractions["average"].value < fractions["average"].high
    assert fractions["var"].value == pytest.approx(100 * 0.0625**2)
    assert others["average"].value == pytest.approx(37.5)
    assert 30 < others["average"].low < 37.5 < others["average"].high < 45
    assert others["worst"].value == pytest.approx(25)
    assert others["range"].value == pytest.approx(25)
    assert others["range"].low <= 25 <= others["range"].high
    assert others["var"].value is None  # of fractions only
    for name in ("pag", "kappa", "all_safe"):
        assert fractions[name].value is None or name == "all_safe"
        assert others[name].value is None
    assert utility(CHRF).worst_language == "sw"


def test_a_table_shows_the_metric_in_its_unit():
    text = run_table.text(make_run(utility(CHRF)), 140)
    assert "50.0" in text
    assert "acc %" not in text
    assert "37.5" in text
    assert "acc %" in run_table.text(make_run(utility(F1)), 140)
    assert "62\n" in run_table.columns(make_run(utility(F1)))[1].cells[0]


def test_a_record_goes_to_the_disk_and_back(tmp_path):
    folder = write(make_run(utility(CHRF)), tmp_path)
    found = record.read(folder / "run.json").tasks[0]
    assert found.languages["en"].scores == CHRF["en"]
    content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    content["tasks"][0]["languages"]["en"]["outcomes"] = "1010"
    (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(StaleError, match="either outcomes or scores"):
        record.read(folder / "run.json")


@pytest.mark.parametrize("version", [1, 2])
def test_older_records_are_read_and_keep_their_keys(version, tmp_path):
    content = json.loads(make_run(make_task({"en": "10"}, measures="utility")).model_dump_json())
    content["schema_version"] = version
    for task in content["tasks"]:
        del task["lower_is_better"]
        for result in task["languages"].values():
            del result["scores"]
    (tmp_path / "run.json").write_text(json.dumps(content), encoding="utf-8")
    found = record.read(tmp_path / "run.json")
    result = found.tasks[0].languages["en"]
    assert (result.outcomes, result.scores) == ("10", None)
    assert result.comparability_key == content["tasks"][0]["languages"]["en"]["comparability_key"]
    assert found.schema_version == record.SCHEMA_VERSION


def test_two_runs_are_compared_by_their_scores(tmp_path):
    before = make_run(utility({"en": [40.0, 60.0, 50.0], "sw": [20.0, 30.0, 25.0]}))
    after = make_run(utility({"en": [46.0, 63.0, 53.0], "sw": [20.0, 30.0, 25.0]}), name="b")
    done = command("compare", write(before, tmp_path), write(after, tmp_path))
    assert done.returncode == 0, done.stderr
    assert "quiz, acc\n" in done.stdout
    assert "+4.0 [+3" in done.stdout
    (found,) = compare.compare([before, after])
    english, swahili = found.tasks[0].languages["en"], found.tasks[0].languages["sw"]
    assert (english.first, english.second, english.difference) == pytest.approx((50, 54, 4))
    assert (english.only_first, english.only_second) == (0, 3)
    assert swahili.difference == 0
    assert (swahili.low, swahili.high) == (None, None)
    average = found.tasks[0].statistics["average"]
    assert average.difference == pytest.approx(2)
    assert 1.5 - 1e-9 <= average.low < 2 < average.high <= 3 + 1e-9
    assert found.tasks[0].statistics["pag"].difference is None


def graded(name, scores, **more):
    """A record whose only task is `quiz` with these scores."""
    made = sample_records.make(name, tasks=(("quiz", "utility", None),), languages=tuple(scores), **more)
    for code, values in scores.items():
        old = made.tasks[0].languages[code]
        changed = {"outcomes": None, "scores": values, "n": len(values), "metrics": {"acc": aggregate.mean(values)}}
        made.tasks[0].languages[code] = old.model_copy(update=changed)
    aggregate.summarise(made.tasks[0], seed=0)
    return made


def test_the_leaderboard_has_scores_in_their_unit_and_one_interval_with_compare(tmp_path):
    base = graded("base", {"en": [40.0, 60.0, 50.0], "sw": [20.0, 30.0, 25.0]})
    manifest = {"base_model": {"name": "base", "weights_digest": sample_records.sha("weights base")}}
    tuned = graded("base", {"en": [46.0, 63.0, 53.0], "sw": [21.0, 30.0, 25.0]}, adapter="dpo", training=manifest)
    found = board(tmp_path, base, tuned)
    table = task_table(found, "quiz")
    assert table.measure == "acc"
    units = {column.heading: column.unit for column in table.columns}
    assert {units[name] for name in ("en", "average", "worst", "gain")} == {"number"}
    assert cell(table, "base", "average").value == pytest.approx(37.5)
    assert "not defined" in cell(table, "base", "PAG").blank
    assert "fractions" in cell(table, "base", "Var").blank
    gain = cell(table, "base + dpo", "gain")
    change = compare.compare([base, tuned])[0].tasks[0].statistics["average"]
    assert (gain.value, gain.low, gain.high) == pytest.approx((change.difference, change.low, change.high))
    assert "37.5" in to_markdown.document(found)
    assert '"value":37.5' in to_json.document(found)


def test_scores_that_the_headline_denies_are_left_out(tmp_path):
    made = graded("m", {"en": [40.0, 60.0]})
    made.tasks[0].languages["en"].metrics["acc"].value = 99.0
    with pytest.raises(UsageError, match="is not what its scores give"):
        collect.check(made)


def test_the_gate_speaks_in_the_unit_of_the_score(tmp_path):
    before = write(make_run(utility({"en": [40.0, 60.0, 50.0]})), tmp_path)
    after = write(make_run(utility({"en": [36.0, 57.0, 47.0]}), name="b"), tmp_path)
    assert command("compare", before, after, "--fail-if", "acc < -2").returncode == 5
    assert command("compare", before, after, "--fail-if", "acc < -5").returncode == 0
    check_failed(command("compare", before, after, "--fail-if", "invalid_rate > 1"), 2, "invalid_rate", "acc")
