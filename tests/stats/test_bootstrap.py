"""Intervals by the bootstrap: of one matrix, of many models, their coverage."""

import runpy
from random import Random

import numpy as np
import pytest
from checkout import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from outcome_matrices import NAN, Matrix, correlated, matrices, nested, scalars

from mlc_bench.stats import bootstrap, measures

# --- bootstrap ---


@settings(max_examples=60, deadline=None)
@given(matrices(cells=(0.0, 1.0)).filter(lambda matrix: len(matrix) > 1))
def test_interval_of_the_mean_contains_the_estimate(matrix: Matrix) -> None:
    low, high = bootstrap.cluster_bootstrap(matrix, "average", resamples=400)
    assert 0 <= low <= measures.average(matrix) + 1e-12
    assert measures.average(matrix) - 1e-12 <= high <= 1


def test_bootstrap_is_deterministic_for_a_seed() -> None:
    matrix = correlated(np.random.default_rng(0), 50, [0.6, 0.7, 0.8])
    first = bootstrap.cluster_bootstrap(matrix, "pag", resamples=250, seed=3)
    assert first == bootstrap.cluster_bootstrap(matrix, "pag", resamples=250, seed=3)
    assert first != bootstrap.cluster_bootstrap(matrix, "pag", resamples=250, seed=4)
    assert bootstrap.summary(matrix, seed=5) == bootstrap.summary(matrix, seed=5)
    low, high = bootstrap.cluster_bootstrap(matrix, "pag", resamples=1)
    assert low == high


def test_bootstrap_agrees_with_the_binomial_standard_error() -> None:
    matrix = nested([60], 100)
    low, high = bootstrap.cluster_bootstrap(matrix, "average", resamples=4000)
    half = 1.96 * np.sqrt(0.6 * 0.4 / 100)
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half), abs=0.015)  # means move in steps of 0.01


def test_summary_uses_the_same_resamples_as_cluster_bootstrap() -> None:
    matrix = correlated(np.random.default_rng(1), 60, [0.5, 0.9])
    result = bootstrap.summary(matrix, seed=7)
    assert list(result) == ["average", "var", "pag", "kappa", "worst", "range", "all_safe"]
    expected = {"value": measures.pag(matrix)}
    expected["low"], expected["high"] = bootstrap.cluster_bootstrap(matrix, "pag", seed=7)
    assert result["pag"] == expected


def test_clustered_interval_is_wider_for_correlated_languages() -> None:
    """Nine copies of one column hold the information of one: wider by sqrt(9) than nine independent ones."""
    generator = np.random.default_rng(0)
    copies = np.tile(nested([70], 100), (1, 9))
    independent = np.stack([generator.permutation(copies[:, 0]) for _ in range(9)], axis=1)
    low, high = bootstrap.cluster_bootstrap(copies, "average")
    independent_low, independent_high = bootstrap.cluster_bootstrap(independent, "average")
    assert 2 < (high - low) / (independent_high - independent_low) < 4
    single = bootstrap.cluster_bootstrap(copies[:, :1], "average")
    assert (low, high) == pytest.approx(single)


def test_variance_interval_reaches_zero_for_equal_rates() -> None:
    """The noise of the rates adds to every replicate: uncorrected, the interval never holds the true zero."""
    matrix = correlated(np.random.default_rng(0), 200, [0.9] * 10)
    replicates = bootstrap.paired_bootstrap([matrix], ["var"], seed=0)["var"][0]
    assert bootstrap.interval(replicates)[0] > 0
    found = bootstrap.summary(matrix)["var"]
    assert found["low"] == 0
    assert found["low"] <= found["value"] <= found["high"] < bootstrap.interval(replicates)[1]


def test_bootstrap_rejects_bad_settings() -> None:
    matrix = nested([1], 2)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap.cluster_bootstrap(matrix, "average", resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap.cluster_bootstrap(matrix, "average", confidence=95)


# --- many models ---


@settings(max_examples=25, deadline=None)
@given(st.lists(matrices(), min_size=1, max_size=1), st.integers(0, 3))
def test_models_together_are_as_each_alone(one: list[Matrix], others: int) -> None:
    generator = np.random.default_rng(0)
    models = [*one, *(generator.permutation(one[0]) for _ in range(others))]
    together = bootstrap.paired_bootstrap(models, ("rates", *measures.SUMMARY), resamples=60, seed=3)
    for index, matrix in enumerate(models):
        alone = bootstrap.paired_bootstrap([matrix], ("rates", *measures.SUMMARY), resamples=60, seed=3)
        for name, values in alone.items():
            np.testing.assert_allclose(together[name][index], values[0], rtol=0, atol=1e-12)


def test_models_are_resampled_together() -> None:
    """The better model is safe wherever the other is: in every resample it is at least as good."""
    matrix = correlated(np.random.default_rng(0), 80, [0.5, 0.6])
    better = np.maximum(matrix, correlated(np.random.default_rng(1), 80, [0.5, 0.6]))
    values = bootstrap.paired_bootstrap([matrix, better], ["average"], resamples=500)["average"]
    assert values.shape == (2, 500)
    assert (values[1] >= values[0]).all()
    assert bootstrap.rank_intervals(values).tolist() == [[2, 2], [1, 1]]
    assert bootstrap.rank_intervals(values, higher_is_better=False).tolist() == [[1, 1], [2, 2]]


def test_many_models_in_chunks_are_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [correlated(np.random.default_rng(k), 30, [0.5, 0.9, 0.7]) for k in range(7)]
    whole = bootstrap.paired_bootstrap(models, resamples=100)
    monkeypatch.setattr(bootstrap, "CELLS", 200)
    parts = bootstrap.paired_bootstrap(models, resamples=100)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=0, atol=1e-12)


def test_models_that_cannot_be_told_apart_share_ranks() -> None:
    models = [correlated(np.random.default_rng(k), 50, [0.7, 0.7]) for k in range(4)]
    ranks = bootstrap.rank_intervals(bootstrap.paired_bootstrap(models)["average"])
    assert (ranks[:, 0].max() < ranks[:, 1]).all()
    same = bootstrap.paired_bootstrap([models[0]] * 3)["average"]
    assert bootstrap.rank_intervals(same).tolist() == [[2, 2]] * 3
    same[0] = NAN
    assert np.isnan(bootstrap.rank_intervals(same)[0]).all()
    assert bootstrap.rank_intervals(same)[1:].tolist() == [[1.5, 1.5]] * 2


def test_models_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        bootstrap.paired_bootstrap([np.ones((3, 2)), np.ones((3, 3))])
    with pytest.raises(ValueError, match="one shape"):
        bootstrap.paired_bootstrap([])


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 40)), elements=st.floats(-5, 5)))
def test_interval_is_the_quantile_of_what_is_defined(values: Matrix) -> None:
    values[0, 0] = NAN
    expected = [
        np.quantile(row[~np.isnan(row)], [0.05, 0.95]) if (~np.isnan(row)).any() else [NAN, NAN] for row in values
    ]
    np.testing.assert_allclose(bootstrap.interval(values, 0.9), expected, atol=1e-9)


def test_interval_corrected_for_bias_is_moved_by_twice_the_bias() -> None:
    replicates = np.random.default_rng(0).normal(0.3, 0.1, 5000)
    low, high = bootstrap.interval(replicates)
    bias = replicates.mean() - 0.2
    assert bootstrap.interval(replicates, estimate=0.2) == pytest.approx((low - 2 * bias, high - 2 * bias))


# --- duplicates and order ---


@given(matrices(), st.integers(2, 4))
def test_duplicated_prompts_change_no_statistic(matrix: Matrix, times: int) -> None:
    assert scalars(np.tile(matrix, (times, 1))) == pytest.approx(scalars(matrix), nan_ok=True)


def test_a_language_given_again_as_another_adds_no_certainty() -> None:
    """Duplicates within a cluster: the interval of the average stays what it was, to the last digit."""
    matrix = correlated(np.random.default_rng(0), 60, [0.4, 0.7])
    twice = np.concatenate([matrix, matrix], axis=1)
    assert bootstrap.cluster_bootstrap(twice, "average") == pytest.approx(
        bootstrap.cluster_bootstrap(matrix, "average")
    )


@given(matrices(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_intervals_do_not_depend_on_the_order_of_languages(matrix: Matrix, random: Random) -> None:
    columns = list(range(matrix.shape[1]))
    random.shuffle(columns)
    whole, shuffled = (bootstrap.summary(table, resamples=50) for table in (matrix, matrix[:, columns]))
    for name in measures.SUMMARY:
        first, second = ([table[name][key] for key in ("value", "low", "high")] for table in (whole, shuffled))
        assert first == pytest.approx(second, nan_ok=True)


# --- coverage ---


def test_clustered_intervals_hold_the_truth_where_naive_ones_do_not() -> None:
    """1500 samples of 180 prompts, the languages of a prompt correlated; see benchmarks/interval_coverage.py."""
    benchmark = runpy.run_path(str(ROOT / "benchmarks" / "interval_coverage.py"))
    rates = np.array(benchmark["RATES"])
    held, naive = benchmark["coverage"](prompts=180, trials=1500, rates=rates, correlation=0.5, resamples=400)
    assert 0.93 <= held["average"] <= 0.97
    assert 0.93 <= held["pag"] <= 0.97
    assert 0.92 <= held["var"] <= 0.97
    assert naive < 0.85
