"""Rates from answers drawn with known, unequal probabilities."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_bench.stats import weighted


def sample(rate, *, trials, labels=60, answers=315, invalid=0.0, seed=0):
    """Draws of labels, equal by verdict, of a judge that is right on 95 % of the refusals and 80 % of the others.

    All of them at once: labels, verdicts, weights, strata (trials, labels) and the judge's rate (trials,).
    """
    generator = np.random.default_rng(seed)
    refuses = generator.random((trials, answers)) < rate
    right = generator.random((trials, answers)) < np.where(refuses, 0.95, 0.8)
    verdict = np.where(~refuses & (generator.random((trials, answers)) < invalid), 2, right == refuses)
    count = 3 if invalid else 2
    sizes = np.stack([(verdict == one).sum(axis=1) for one in range(count)], axis=1)
    rows = np.zeros_like(sizes)
    while (short := labels - rows.sum(axis=1)).any():  # one more to each stratum that has one, the largest first
        order = np.argsort(-sizes, axis=1)
        is_open = np.take_along_axis(rows < sizes, order, axis=1)
        more = is_open & (np.cumsum(is_open, axis=1) <= short[:, None])
        rows += np.take_along_axis(more, np.argsort(order, axis=1), axis=1)
    rank = np.argsort(np.argsort(verdict + generator.random((trials, answers)), axis=1), axis=1)
    first = np.cumsum(sizes, axis=1) - sizes
    place = rank - np.take_along_axis(first, verdict, axis=1)  # within its stratum, in random order
    seen = place < np.take_along_axis(rows, verdict, axis=1)
    weights = np.take_along_axis(sizes / np.maximum(rows, 1), verdict, axis=1)
    shape = (trials, labels)
    return [one[seen].reshape(shape) for one in (refuses, verdict == 1, weights, verdict)], (verdict == 1).mean(axis=1)


@pytest.mark.parametrize(("rate", "invalid"), [(0.9, 0), (0.8, 0), (0.7, 0), (0.5, 0.1), (0.85, 0), (0.75, 0.05)])
def test_the_interval_holds_the_truth_in_95_percent_of_draws(rate, invalid):
    """60 labels of 315 answers: 94 to 96 %, give or take the standard error of 2,000 draws.

    benchmarks/interval_coverage.py --labels has other sizes, and rates at the edge, from more draws.
    """
    trials = 2000
    chance = math.sqrt(0.95 * 0.05 / trials)
    drawn, judged = sample(rate, trials=trials, invalid=invalid)
    found = [weighted.difference(*(one[place] for one in drawn), 315, judged[place]) for place in range(trials)]
    held = np.mean([one.low <= rate <= one.high for one in found])
    assert 0.94 - chance <= held <= 0.96 + chance
    assert np.mean([one.value for one in found]) == pytest.approx(rate, abs=0.005)
    width = np.mean([one.high - one.low for one in found])
    assert width < 2 * 1.96 * math.sqrt(rate * (1 - rate) / 60), "narrower than from 60 labels without a judge"


def test_what_is_drawn_more_often_counts_less():
    people, strata = np.r_[np.ones(20), np.zeros(20)], np.repeat([0, 1], 20)
    found = weighted.difference(people, people, np.repeat([9.0, 1.0], 20), strata, 200, 0.9)
    assert found.value == pytest.approx(0.9)
    assert found.low < 0.9 < found.high


def test_with_equal_weights_it_is_wilson_s_interval_of_a_mean():
    people = np.r_[np.ones(70), np.zeros(30)]
    found = weighted.difference(people, np.zeros(100), np.ones(100), np.zeros(100), 100, 0.0)
    assert found.value == 0.7
    assert found.effective == pytest.approx(100)
    assert (found.low, found.high) == pytest.approx(weighted.wilson(0.7, 100, 1.984217), abs=1e-6)


def test_another_judge_s_verdicts_make_it_narrower():
    generator = np.random.default_rng(0)
    people = generator.random(60) < 0.5
    judge = np.where(generator.random(60) < 0.95, people, ~people)
    arguments = (np.full(60, 10.0), np.zeros(60), 600)
    alone, helped = (weighted.difference(people, of, *arguments, 0.5) for of in (np.zeros(60), judge))
    assert helped.high - helped.low < 0.75 * (alone.high - alone.low)


def test_strata_without_a_label_widen_it():
    people = np.ones(30)
    all_seen, half = (
        weighted.difference(people, people, np.full(30, 10.0), np.zeros(30), total, 1.0) for total in (300, 600)
    )
    assert half.high - half.low > 3 * (all_seen.high - all_seen.low)


def test_too_little_says_nothing():
    assert math.isnan(weighted.difference([1.0], [1.0], [1.0], [0], 10, 1.0).value)
    assert math.isnan(weighted.ratio([1.0], [0.0], [1.0], [0]).value)


def test_a_rate_of_cases_by_hand():
    """Cleared by the judge: 20 of 200 drawn, 2 of them cases; called by it: 10 of 10, 8 of them cases."""
    calls, strata = np.repeat([0.0, 1.0], [20, 10]), np.repeat([0, 1], [20, 10])
    cases = np.r_[np.ones(2), np.zeros(18), np.ones(8), np.zeros(2)]
    found = weighted.ratio(calls, cases, np.repeat([10.0, 1.0], [20, 10]), strata)
    assert found.value == pytest.approx(8 / (8 + 20))
    assert found.effective <= 10, "there are ten cases"
    assert found.low < found.value < found.high


def test_no_error_among_few_is_not_certainty():
    calls, strata = np.repeat([0.0, 1.0], 30), np.repeat([0, 1], 30)
    found = weighted.ratio(calls, calls, np.repeat([10.0, 1.0], 30), strata)
    assert found.value == 1
    assert found.low < 0.8


@pytest.mark.parametrize("rate", [0.5, 0.7])
def test_sensitivity_is_held_in_most_draws(rate):
    drawn, _ = sample(rate, trials=1000)
    held = 0
    for people, judge, weights, strata in zip(*drawn, strict=True):
        found = weighted.ratio(~judge, ~people, weights, strata)
        held += found.low <= 0.8 <= found.high
    assert 0.925 <= held / 1000 <= 0.98


@settings(max_examples=200)
@given(st.data())
def test_intervals_hold_their_estimate_and_stay_in_0_to_1(data):
    n = data.draw(st.integers(2, 30))
    truth = st.lists(st.booleans(), min_size=n, max_size=n)
    people, judge = data.draw(truth), data.draw(truth)
    strata = data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    size = data.draw(st.lists(st.integers(0, 50), min_size=4, max_size=4))
    weights = [1 + size[one] / strata.count(one) for one in strata]
    total = round(sum(weights)) + data.draw(st.integers(0, 20))
    found = weighted.difference(people, judge, weights, strata, total, data.draw(st.floats(0, 1)))
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.effective > 0
    if any(people):
        of_cases = weighted.ratio(judge, people, weights, strata)
        assert 0 <= of_cases.low <= of_cases.value <= of_cases.high <= 1
        assert 0 < of_cases.effective <= sum(people)
