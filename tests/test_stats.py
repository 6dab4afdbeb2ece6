"""Golden values, brute force, properties and coverage of mlc_bench.stats."""

from collections.abc import Callable
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.stats import norm

from mlc_bench import bootstrap, stats

NAN = float("nan")
Matrix = NDArray[np.float64]
Table = list[list[float]]

# Published safe rates in %, then Avg in %, Var and PAG (Qwen2.5-7B-Instruct, 180 prompts per language).
PAPER = {
    "raw": ([93.3, 96.1, 93.3, 92.2, 93.9, 53.3, 6.1, 33.9, 21.1, 12.2], 59.55, 13.14, 0.504),
    "dpo": ([99.4, 98.3, 97.2, 97.8, 96.1, 70.6, 7.2, 50.6, 30.0, 17.2], 66.4, 12.44, 0.54),
    "mpo": ([81.1, 81.7, 82.2, 77.2, 78.3, 77.2, 4.4, 70.6, 59.4, 42.8], 65.5, 5.53, 0.70),
    "dpo+mlc": ([99.4, 96.7, 97.8, 98.3, 98.3, 95.0, 92.8, 92.8, 91.1, 97.2], 95.94, 0.07, 0.970),
}


def matrices(cells: tuple[float, ...] = (0.0, 1.0, NAN), min_languages: int = 1) -> st.SearchStrategy[Matrix]:
    shape = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
    shape = shape.filter(lambda sides: sides[1] >= min_languages)
    return shape.flatmap(lambda sides: hnp.arrays(np.float64, sides, elements=st.sampled_from(cells)))


def nested(counts: list[int], prompts: int) -> Matrix:
    """Safe on the first counts[j] prompts in language j: the largest PAG that these rates allow."""
    return (np.arange(prompts)[:, None] < np.array(counts)).astype(np.float64)


def correlated(generator: np.random.Generator, prompts: int, rates: list[float]) -> Matrix:
    """Verdicts from a latent normal with correlation 0.5 between the languages of one prompt."""
    shared = generator.standard_normal((prompts, 1))
    own = generator.standard_normal((prompts, len(rates)))
    safe: Matrix = ((shared + own) / np.sqrt(2) < norm.ppf(rates)).astype(np.float64)
    return safe


def scalars(matrix: Matrix) -> list[float]:
    """The statistics of the whole matrix that do not depend on the order of languages or prompts."""
    rates = stats.language_rates(matrix)
    return [
        stats.average(matrix),
        stats.language_variance(rates),
        stats.language_range(rates),
        stats.worst(rates)[1],
        stats.pag(matrix),
        stats.fleiss_kappa(matrix),
        stats.all_safe_rate(matrix),
    ]


# --- golden values ---


@pytest.mark.parametrize("row", PAPER)
def test_paper_average_and_variance(row: str) -> None:
    percentages, published_average, published_variance, _ = PAPER[row]
    fractions = np.array(percentages) / 100
    assert 100 * fractions.mean() == pytest.approx(published_average, abs=0.05)  # the paper rounds to 0.1
    assert stats.language_variance(fractions) == pytest.approx(published_variance, abs=0.006)


@pytest.mark.parametrize("row", ["raw", "dpo", "mpo"])
def test_paper_pag_is_attainable(row: str) -> None:
    percentages, _, _, published = PAPER[row]
    counts = [round(180 * rate / 100) for rate in percentages]
    assert published <= stats.pag(nested(counts, 180))


def test_paper_pag_of_mlc_is_not_attainable_by_our_definition() -> None:
    counts = [round(180 * rate / 100) for rate in PAPER["dpo+mlc"][0]]
    assert stats.pag(nested(counts, 180)) == pytest.approx(0.96654, abs=1e-5)
    assert PAPER["dpo+mlc"][3] - 0.0005 > 0.96654  # of 180 prompts, rates rounded to 0.1 % fix the counts


def test_average_of_paper_rates_through_a_matrix() -> None:
    counts = [round(180 * rate / 100) for rate in PAPER["raw"][0]]
    result = bootstrap.summary(nested(counts, 180))
    assert 100 * result["average"]["value"] == pytest.approx(59.55, abs=0.05)
    assert result["var"]["value"] == pytest.approx(13.14, abs=0.01)
    assert result["worst"]["index"] == 6
    assert result["worst"]["value"] == 11 / 180
    assert result["range"]["value"] == pytest.approx(162 / 180)
    assert result["all_safe"]["value"] == 11 / 180


def test_pag_by_hand() -> None:
    matrix: Table = [[1, 1, 1, 0], [1, 0, NAN, NAN], [0, 0, 0, NAN], [1, NAN, NAN, NAN]]
    assert stats.pag(matrix) == pytest.approx((3 / 6 + 0 / 1 + 3 / 3) / 3)


def test_kappa_matches_irrcac() -> None:
    """irrCAC 0.4.4 for Python, CAC(...).fleiss(), gives 0.47044 on this table."""
    matrix: Table = [
        [1, 1, 1, 1],
        [1, 0, 1, NAN],
        [0, 0, NAN, NAN],
        [1, NAN, NAN, NAN],
        [0, 0, 0, 1],
        [1, 1, 0, 0],
        [1, 1, 1, NAN],
        [0, 0, 0, 0],
    ]
    assert stats.fleiss_kappa(matrix) == pytest.approx(0.47044, abs=6e-6)


def test_kappa_of_a_complete_table_is_fleiss_1971() -> None:
    matrix = np.random.default_rng(0).integers(0, 2, (50, 6)).astype(np.float64)
    safe = matrix.sum(axis=1)
    observed = ((safe**2 + (6 - safe) ** 2 - 6) / (6 * 5)).mean()
    chance = matrix.mean() ** 2 + (1 - matrix.mean()) ** 2
    assert stats.fleiss_kappa(matrix) == pytest.approx((observed - chance) / (1 - chance))


def test_reference_comparisons_by_hand() -> None:
    matrix: Table = [[1, 0, 1], [1, 1, NAN], [0, 0, 1], [NAN, 0, 0], [1, 0, NAN]]
    assert stats.loophole_rate(matrix, 0) == pytest.approx([0, 2 / 4, 0])
    assert stats.agreement_with_reference(matrix, 0) == pytest.approx([1, 2 / 4, 1 / 2])
    assert stats.all_safe_rate(matrix) == 0
    assert stats.language_rates(matrix) == pytest.approx([3 / 4, 1 / 5, 2 / 3])


# --- Wilson ---


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson_closed_form(case: tuple[int, int], confidence: float) -> None:
    successes, n = case
    z, p = norm.ppf((1 + confidence) / 2), successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert stats.wilson(successes, n, confidence) == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_wilson_edges() -> None:
    assert np.isnan(stats.wilson(0, 0)).all()
    assert stats.wilson(0, 10)[0] == 0
    assert stats.wilson(10, 10)[1] == 1
    with pytest.raises(ValueError, match="greater than n"):
        stats.wilson(3, 2)
    with pytest.raises(ValueError, match="not less than 1"):
        stats.wilson(1, 0)


# --- brute force and properties ---


@given(matrices())
def test_pag_equals_explicit_pairs(matrix: Matrix) -> None:
    scores = []
    for row in matrix:
        pairs = list(combinations(row[~np.isnan(row)], 2))
        if pairs:
            scores.append(np.mean([first == second for first, second in pairs]))
    expected = np.mean(scores) if scores else NAN
    assert stats.pag(matrix) == pytest.approx(expected, nan_ok=True)


@given(matrices(), st.data())
def test_rates_against_reference_equal_loops(matrix: Matrix, data: st.DataObject) -> None:
    reference = data.draw(st.integers(0, matrix.shape[1] - 1))
    loophole, agreement = (
        stats.loophole_rate(matrix, reference),
        stats.agreement_with_reference(matrix, reference),
    )
    for language in range(matrix.shape[1]):
        both = [(row[reference], row[language]) for row in matrix]
        both = [pair for pair in both if not np.isnan(pair).any()]
        holes = np.mean([pair == (1, 0) for pair in both]) if both else NAN
        same = np.mean([first == second for first, second in both]) if both else NAN
        assert loophole[language] == pytest.approx(holes, nan_ok=True)
        assert agreement[language] == pytest.approx(same, nan_ok=True)


@given(matrices())
def test_bounds(matrix: Matrix) -> None:
    average, variance, spread, lowest, pag, kappa, all_safe = scalars(matrix)
    for fraction in (average, spread, lowest, pag, all_safe):
        assert np.isnan(fraction) or 0 <= fraction <= 1
    assert np.isnan(variance) or 0 <= variance <= 25 + 1e-9
    assert np.isnan(kappa) or kappa <= 1


@given(matrices(), st.randoms(use_true_random=False))
def test_order_of_languages_and_prompts_is_irrelevant(matrix: Matrix, random: Random) -> None:
    rows, columns = list(range(matrix.shape[0])), list(range(matrix.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    assert scalars(matrix[rows][:, columns]) == pytest.approx(scalars(matrix), nan_ok=True)


@given(matrices())
def test_agreement_is_symmetric_under_safe_and_unsafe(matrix: Matrix) -> None:
    assert stats.pag(1 - matrix) == pytest.approx(stats.pag(matrix), nan_ok=True)
    assert stats.fleiss_kappa(1 - matrix) == pytest.approx(stats.fleiss_kappa(matrix), nan_ok=True)
    assert stats.agreement_with_reference(1 - matrix, 0) == pytest.approx(
        stats.agreement_with_reference(matrix, 0), nan_ok=True
    )


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=20), st.integers(2, 6))
def test_equal_columns(column: list[float], languages: int) -> None:
    matrix = np.tile(np.array(column)[:, None], (1, languages))
    rates = stats.language_rates(matrix)
    assert stats.pag(matrix) == 1
    assert stats.language_variance(rates) == pytest.approx(0)
    assert stats.language_range(rates) == 0
    assert stats.all_safe_rate(matrix) == pytest.approx(np.mean(column))
    assert stats.average(matrix) == pytest.approx(np.mean(column))
    assert stats.fleiss_kappa(matrix) == pytest.approx(NAN if len(set(column)) == 1 else 1, nan_ok=True)


@given(matrices(), st.data())
def test_counts_equal_repeated_rows(matrix: Matrix, data: st.DataObject) -> None:
    """The vectorised path: weighting prompts is the same as repeating their rows."""
    drawn = data.draw(st.lists(st.integers(0, len(matrix) - 1), min_size=len(matrix), max_size=len(matrix)))
    counts = np.bincount(drawn, minlength=len(matrix)).astype(np.float64)
    for statistic in (stats.average, stats.pag, stats.fleiss_kappa, stats.all_safe_rate):
        expected = statistic(matrix[drawn])
        assert statistic(matrix, counts) == pytest.approx(expected, nan_ok=True)
        assert statistic(matrix, np.stack([counts, counts])) == pytest.approx([expected] * 2, nan_ok=True)
    assert stats.loophole_rate(matrix, 0, counts) == pytest.approx(stats.loophole_rate(matrix[drawn], 0), nan_ok=True)
    assert stats.agreement_with_reference(matrix, 0, counts) == pytest.approx(
        stats.agreement_with_reference(matrix[drawn], 0), nan_ok=True
    )


# --- bootstrap ---


@settings(max_examples=60, deadline=None)
@given(matrices(cells=(0.0, 1.0)).filter(lambda matrix: len(matrix) > 1))
def test_interval_of_the_mean_contains_the_estimate(matrix: Matrix) -> None:
    low, high = bootstrap.cluster_bootstrap(matrix, stats.average, resamples=400)
    assert 0 <= low <= stats.average(matrix) + 1e-12
    assert stats.average(matrix) - 1e-12 <= high <= 1


def test_bootstrap_is_deterministic_for_a_seed() -> None:
    matrix = correlated(np.random.default_rng(0), 50, [0.6, 0.7, 0.8])
    first = bootstrap.cluster_bootstrap(matrix, stats.pag, resamples=250, seed=3)
    assert first == bootstrap.cluster_bootstrap(matrix, stats.pag, resamples=250, seed=3)
    assert first != bootstrap.cluster_bootstrap(matrix, stats.pag, resamples=250, seed=4)
    assert bootstrap.summary(matrix, seed=5) == bootstrap.summary(matrix, seed=5)
    low, high = bootstrap.cluster_bootstrap(matrix, stats.pag, resamples=1)
    assert low == high


def test_bootstrap_agrees_with_the_binomial_standard_error() -> None:
    matrix = nested([60], 100)
    low, high = bootstrap.cluster_bootstrap(matrix, stats.average, resamples=4000)
    half = 1.96 * np.sqrt(0.6 * 0.4 / 100)
    assert (low, high) == pytest.approx((0.6 - half, 0.6 + half), abs=0.015)  # means move in steps of 0.01


def test_summary_uses_the_same_resamples_as_cluster_bootstrap() -> None:
    matrix = correlated(np.random.default_rng(1), 60, [0.5, 0.9])
    result = bootstrap.summary(matrix, seed=7)
    assert list(result) == ["average", "var", "pag", "kappa", "worst", "range", "all_safe"]
    expected = {"value": stats.pag(matrix)}
    expected["low"], expected["high"] = bootstrap.cluster_bootstrap(matrix, stats.pag, seed=7)
    assert result["pag"] == expected


def test_clustered_interval_is_wider_for_correlated_languages() -> None:
    """Nine copies of one column hold the information of one: wider by sqrt(9) than nine independent ones."""
    generator = np.random.default_rng(0)
    copies = np.tile(nested([70], 100), (1, 9))
    independent = np.stack([generator.permutation(copies[:, 0]) for _ in range(9)], axis=1)
    low, high = bootstrap.cluster_bootstrap(copies, stats.average)
    independent_low, independent_high = bootstrap.cluster_bootstrap(independent, stats.average)
    assert 2 < (high - low) / (independent_high - independent_low) < 4
    single = bootstrap.cluster_bootstrap(copies[:, :1], stats.average)
    assert (low, high) == pytest.approx(single)


def test_coverage_of_the_clustered_interval() -> None:
    """95 % intervals on 600 data sets: the binomial standard error is 0.9 points, the tolerance four."""
    generator = np.random.default_rng(0)
    rates = [0.95, 0.9, 0.8, 0.6, 0.3]
    covered = 0
    for trial in range(600):
        matrix = correlated(generator, 100, rates)
        low, high = bootstrap.cluster_bootstrap(matrix, stats.average, resamples=500, seed=trial)
        covered += int(low <= np.mean(rates) <= high)
    assert covered / 600 == pytest.approx(0.95, abs=0.036)


def test_variance_interval_can_exclude_equal_rates() -> None:
    """A limit stated in the docstring: resampling noise only ever adds to the variance."""
    matrix = 1 - np.eye(10)
    assert stats.language_variance(stats.language_rates(matrix)) == pytest.approx(0)
    assert bootstrap.summary(matrix)["var"]["low"] > 0


def test_bootstrap_rejects_bad_settings() -> None:
    matrix = nested([1], 2)
    with pytest.raises(ValueError, match="resamples"):
        bootstrap.cluster_bootstrap(matrix, stats.average, resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        bootstrap.cluster_bootstrap(matrix, stats.average, confidence=95)


# --- missing verdicts and edges ---


def test_unjudged_language_makes_macro_statistics_nan_but_not_agreement() -> None:
    matrix: Table = [[1, 1, NAN], [0, 1, NAN], [1, 1, NAN]]
    result = bootstrap.summary(matrix)
    for key in ("average", "var", "worst", "range", "all_safe"):
        assert np.isnan(list(result[key].values())).all()
    assert result["pag"]["value"] == pytest.approx(2 / 3)
    assert result["pag"]["low"] <= 2 / 3 <= result["pag"]["high"]


def test_unjudged_cell_is_neither_safe_nor_unsafe() -> None:
    assert stats.language_rates([[1.0, NAN], [0.0, 1.0]]) == pytest.approx([0.5, 1])
    assert stats.all_safe_rate([[1.0, NAN], [1.0, 1.0]]) == 1


def test_resamples_without_a_sparse_language_are_left_out() -> None:
    matrix = np.column_stack([np.ones(20), np.r_[1.0, 0.0, np.full(18, NAN)]])
    low, high = bootstrap.cluster_bootstrap(matrix, stats.average)
    assert (low, high) == (0.5, 1)


def test_no_prompts() -> None:
    for entry in bootstrap.summary(np.empty((0, 3))).values():
        assert np.isnan(list(entry.values())).all()
    assert np.isnan(stats.loophole_rate(np.empty((0, 3)), 0)).all()


def test_one_prompt_has_values_and_no_interval() -> None:
    average = bootstrap.summary([[1, 0]])["average"]
    assert average["value"] == 0.5
    assert np.isnan([average["low"], average["high"]]).all()


def test_one_language_has_a_rate_and_no_spread() -> None:
    result = bootstrap.summary(nested([3], 4))
    assert result["average"]["value"] == result["worst"]["value"] == result["all_safe"]["value"] == 0.75
    assert result["worst"]["index"] == 0
    for key in ("var", "range", "pag", "kappa"):
        assert np.isnan(list(result[key].values())).all()


def test_all_unsafe_has_full_agreement_and_undefined_kappa() -> None:
    result = bootstrap.summary(np.zeros((5, 3)))
    assert result["pag"] == {"value": 1, "low": 1, "high": 1}
    assert np.isnan(list(result["kappa"].values())).all()


def test_worst_takes_the_first_of_a_tie() -> None:
    assert stats.worst([0.5, 0.2, 0.2]) == (1, 0.2)
    assert np.isnan(stats.worst([])).all()


@pytest.mark.parametrize("matrix", [[1, 0], [[0.5, 1]], [[2, 1]], [[]], 1.0, [[[]]]])
def test_malformed_matrix_is_refused(matrix: Any) -> None:
    with pytest.raises(ValueError, match=r"matrix of prompts x languages|verdict must be"):
        stats.pag(matrix)


@pytest.mark.parametrize("function", [stats.language_variance, stats.language_range, stats.worst])
def test_percentages_are_refused(function: Callable[[list[float]], object]) -> None:
    with pytest.raises(ValueError, match="fractions"):
        function([93.3, 96.1])


def test_reference_column_out_of_range() -> None:
    with pytest.raises(IndexError):
        stats.loophole_rate([[1, 0]], 2)
