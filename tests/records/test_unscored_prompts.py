"""Prompts without a verdict are in no n: not in a rate's interval, not in that of equal verdicts, not in a test."""

import numpy as np
import pytest
import sample_records
from boards import board, cell, task_table
from runs_to_compare import make_run, make_task

from mlc_bench.leaderboard.report import effects
from mlc_bench.records import aggregate
from mlc_bench.records.comparing import compare
from mlc_bench.stats import bootstrap, measures, significance

WILSON_6 = (0.609666, 1.0)  # six of six: 6 / (6 + 1.96 ** 2)
WILSON_20 = (0.838875, 1.0)


def task(outcomes, name="harmful", measures_="safety", **more):
    made = make_task(outcomes, name=name, measures=measures_, **more)
    aggregate.summarise(made, seed=0)
    return made


@pytest.mark.parametrize("where", ["record", "leaderboard", "claims"])
def test_equal_verdicts_have_the_interval_of_the_prompts_that_were_judged(where, tmp_path):
    """Six of ten prompts have a verdict, all safe in both languages: 61 to 100 %, not 72 to 100."""
    outcomes = {"en": "111111----", "sw": "111111----"}
    if where == "record":
        found = task(outcomes).summary["average"]
        assert found.n == 6
    elif where == "leaderboard":
        # Above the share of unscored answers that leaves a cell blank, so 19 of 20 here.
        outcomes = {code: "1" * 20 + "-" for code in outcomes}
        tasks = (("harm", "safety", None),)
        made = sample_records.make("m", tasks=tasks, strings={"harm": outcomes}, languages=("en", "sw"))
        found = cell(task_table(board(tmp_path, made)), "m", "average")
        assert (found.low, found.high) == pytest.approx(WILSON_20, abs=1e-6)
        return
    else:
        run = make_run(task(outcomes), name="m-dpo-s1")
        found = effects.level(effects.arms([run], {})["m", "dpo"], "harmful", ["en", "sw"])
        assert found.prompts == 6
    assert (found.low, found.high) == pytest.approx(WILSON_6, abs=1e-6)


@pytest.mark.parametrize(
    ("matrix", "n"),
    [
        ([[1, 1], [1, np.nan], [np.nan, np.nan]], 1),
        ([[1], [0], [np.nan]], 2),
        ([[1, np.nan], [np.nan, 0], [np.nan, np.nan]], 2),
        ([[np.nan, np.nan]], 0),
    ],
)
def test_judged_prompts(matrix, n):
    assert measures.judged_prompts(matrix) == n


def test_a_comparison_counts_what_both_runs_judged():
    """Of four prompts two have a verdict in both; no verdict differs there: Bonett and Price for two."""
    first, second = task({"en": "110-", "sw": "110-"}), task({"en": "11-0", "sw": "11-0"})
    (found,) = compare.compare([make_run(first), make_run(second, name="b")])
    change = found.tasks[0]
    assert (change.n, change.languages["en"].n) == (2, 2)
    expected = significance.paired_interval(0, 0, 2)
    assert (change.statistics["average"].low, change.statistics["average"].high) == pytest.approx(expected)
    assert (change.statistics["average"].first, change.statistics["average"].second) == (1, 1)


def test_one_judged_prompt_of_many_leaves_the_bootstrap_nothing():
    matrix = np.full((5, 2), np.nan)
    matrix[0] = 1, 0
    assert all(np.isnan([found["low"], found["high"]]).all() for found in bootstrap.summary(matrix).values())
    assert np.isnan(bootstrap.paired_bootstrap([matrix], ["average"])["average"]).all()


def test_the_floor_of_a_p_value_is_that_of_the_judged_prompts():
    """Two differing prompts prove nothing, however many others were asked and not judged."""
    first, second = np.full((2, 1, 30, 1), np.nan)
    first[0, :2], second[0, :2] = 0, 1
    assert bootstrap.paired_differences(first, second).n.tolist() == [2]
