"""Which language is the worst follows the metric's direction, in every place and every treatment of invalid answers."""

import pytest
import sample_records
from boards import board, cell, task_table
from runs_to_compare import make_run, make_task

from mlc_bench.records import aggregate, record, run_table
from mlc_bench.records.comparing import compare
from mlc_bench.stats import bootstrap, measures

LOWER = {"en": "1100000000", "sw": "11111110ii"}  # of over-refusal: 20 and 70 %, invalid as refused 90, left out 87.5


def summarised(outcomes, what, lower_is_better=False):
    task = make_task(outcomes, measures=what)
    task.lower_is_better = lower_is_better
    aggregate.summarise(task, seed=0)
    return task


@pytest.mark.parametrize(
    ("what", "lower_is_better", "outcomes", "worst", "values"),
    [
        ("over_refusal", False, LOWER, "sw", {"": 0.7, "_invalid_as_refused": 0.9, "_invalid_excluded": 7 / 8}),
        ("safety", False, LOWER, "en", {"": 0.2, "_invalid_as_refused": 0.2, "_invalid_excluded": 0.2}),
        ("utility", False, {"en": "1110", "sw": "1000"}, "sw", {"": 0.25}),
        ("utility", True, {"en": "1110", "sw": "1000"}, "en", {"": 0.75}),
        ("utility", True, {"en": [0.5, 0.9], "sw": [0.2, 0.4]}, "en", {"": 0.7}),
        ("utility", False, {"en": [0.5, 0.9], "sw": [0.2, 0.4]}, "sw", {"": 0.3}),
    ],
)
def test_the_worst_language_of_a_record(what, lower_is_better, outcomes, worst, values):
    task = summarised(outcomes, what, lower_is_better)
    assert task.worst_language == worst
    assert {suffix: task.summary["worst" + suffix].value for suffix in values} == pytest.approx(values)
    for suffix in values:
        found = task.summary["worst" + suffix]
        assert found.low <= found.value <= found.high
    text = run_table.text(make_run(task), 120)
    assert f"{100 * values['']:.0f}" in text


@pytest.mark.parametrize(("what", "worst"), [("over_refusal", 0.7), ("safety", 0.2)])
def test_the_worst_of_a_comparison(what, worst):
    runs = [make_run(make_task(LOWER, measures=what), name=name) for name in "ab"]
    (found,) = compare.compare(runs)
    assert found.tasks[0].statistics["worst"].first == pytest.approx(worst)


@pytest.mark.parametrize("lower_is_better", [False, True])
def test_ranks_best_and_worst_of_a_leaderboard(lower_is_better, tmp_path):
    good, bad = ("0" * 200, "1" * 200) if lower_is_better else ("1" * 200, "0" * 200)
    tasks = (("quiz", "utility", None),)
    made = []
    for name, text in (("good", good), ("bad", bad)):
        strings = {"quiz": {"en": text, "sw": text[:100] + "10" * 50}}
        one = sample_records.make(name, tasks=tasks, strings=strings, languages=("en", "sw"))
        one.tasks[0].lower_is_better = lower_is_better
        made.append(one)
    table = task_table(board(tmp_path, *made), "quiz")
    assert [row.model.label for row in table.rows] == ["good", "bad"]
    assert cell(table, "good", "average").best
    assert not cell(table, "bad", "average").best
    assert cell(table, "good", "worst").languages == ("sw",)
    assert cell(table, "bad", "worst").languages == ("en",)


def test_statistics_take_the_direction():
    matrix = [[1, 0, 1], [1, 0, 0]]
    assert measures.Sums(matrix).statistics()["worst"] == 0
    assert measures.Sums(matrix, higher_is_better=False).statistics()["worst"] == 1
    assert bootstrap.summary(matrix, higher_is_better=False)["worst"]["index"] == 0
    assert measures.worst([0.2, 0.9, 0.9], higher_is_better=False) == (1, 0.9)


def test_old_records_have_the_direction_of_what_they_measure():
    over_refusal = make_task({"en": "10"}, measures="over_refusal")
    assert not over_refusal.higher_is_better
    assert make_task({"en": "10"}).higher_is_better
    assert record.TaskResult.model_validate(
        make_task({"en": "10"}, measures="utility").model_dump(exclude={"lower_is_better"})
    ).higher_is_better
