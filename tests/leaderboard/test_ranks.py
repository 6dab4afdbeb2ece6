"""Ranks, and that a table depends on nothing but what is in it."""

import random

import numpy as np
import sample_records
from boards import board, cell, documents, few, task_table
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_bench.leaderboard.tabulate import ranks
from mlc_bench.records import record
from mlc_bench.stats import bootstrap

# Ranks.


def replicated(rates, prompts=200, seed=0):
    generator = np.random.default_rng(seed)
    hits = generator.random((len(rates), prompts)) < np.array(rates)[:, None]
    return hits.mean(axis=1), bootstrap.paired_means(hits.astype(float))


def test_models_that_cannot_be_told_apart_share_a_rank():
    values, replicates = replicated([0.9, 0.5, 0.5, 0.1])
    assert ranks.ranks(values, replicates, 200).tolist() == [[1, 1], [2, 3], [2, 3], [4, 4]]
    assert ranks.ranks(values, replicates, 200, higher_is_better=False).tolist() == [[4, 4], [2, 3], [2, 3], [1, 1]]


def test_few_prompts_prove_nothing():
    values, replicates = np.array([1.0, 0.0]), np.array([[1.0] * 50, [0.0] * 50])
    assert ranks.ranks(values, replicates, 3).tolist() == [[1, 2], [1, 2]]
    assert ranks.ranks(values, replicates, 30).tolist() == [[1, 1], [2, 2]]


def test_equal_models_are_told_apart_in_no_more_than_a_twentieth_of_tables():
    wrong = 0
    for seed in range(80):
        values, replicates = replicated([0.5] * 6, seed=seed)
        wrong += (ranks.ranks(values, replicates, 200) != [1, 6]).any()
    assert wrong <= 11  # 4 expected at most; more than 11 has a probability of 0.001


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_rank_intervals_hold_the_order_of_the_values(rates):
    values, replicates = replicated(rates)
    found = ranks.ranks(values, replicates, 200)
    assert (found[:, 0] >= 1).all()
    assert (found[:, 1] <= len(rates)).all()
    order = (values[:, None] < values).sum(axis=1) + 1
    assert (found[:, 0] <= order).all()
    assert (found[:, 1] >= order).all()


# Whatever the files are called and whatever is beside them.


@given(order=st.randoms(use_true_random=False), repeated=st.integers(0, 3))
@few
def test_order_of_files_and_repeated_records_change_nothing(tmp_path_factory, order: random.Random, repeated):
    contents = [*sample_records.family(), sample_records.make("base", judge="guard")]
    expected = documents(sample_records.save(tmp_path_factory.mktemp("plain"), *contents))
    folder = tmp_path_factory.mktemp("shuffled")
    shuffled = contents + order.choices(contents, k=repeated)
    order.shuffle(shuffled)
    for index, content in enumerate(shuffled):
        record.write(content, folder / str(order.random()) / f"run{index}.json")
    assert documents(folder) == expected


@given(dropped=st.sets(st.sampled_from(sample_records.LANGUAGES), min_size=1, max_size=3))
@few
def test_a_missing_language_changes_no_other_number(tmp_path_factory, dropped):
    base, dpo, mlc, _ = sample_records.family()
    whole = task_table(board(tmp_path_factory.mktemp("whole"), base, dpo, mlc))
    cut = dpo.model_copy(deep=True)
    for task in cut.tasks:
        for code in dropped:
            del task.languages[code]
    table = task_table(board(tmp_path_factory.mktemp("cut"), base, mlc, cut))
    for code in sample_records.LANGUAGES:
        for label in ("base", "base-mlc", "base + dpo"):
            found = cell(table, label, code)
            if label == "base + dpo" and code in dropped:
                assert found.blank == "not run"
            else:
                was = cell(whole, label, code)
                assert (found.value, found.low, found.high, found.n) == (was.value, was.low, was.high, was.n)
    assert cell(table, "base + dpo", "average").value is None


@given(changed=st.integers(2, 9))
@few
def test_a_changed_task_version_takes_nothing_from_the_old_table(tmp_path_factory, changed):
    contents = sample_records.family()
    before = task_table(board(tmp_path_factory.mktemp("before"), *contents))
    after = board(
        tmp_path_factory.mktemp("after"),
        *contents,
        sample_records.make("new", version=changed, tasks=sample_records.TASKS[:1]),
    )
    same = next(table for table in after.tasks if table.setting.task == "harm" and table.setting.version == 1)
    assert same == before


@given(level=st.floats(0, 1))
@few
def test_a_second_judge_changes_nothing_of_the_first(tmp_path_factory, level):
    contents = sample_records.family()
    before = board(tmp_path_factory.mktemp("before"), *contents)
    after = board(tmp_path_factory.mktemp("after"), *contents, sample_records.make("base", judge="guard", chance=level))
    assert [table for table in after.tasks if table.judge != "guard"] == list(before.tasks)
    assert [table for table in after.main if table.judge != "guard"] == list(before.main)
