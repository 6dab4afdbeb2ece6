"""The statistics of one matrix: golden values, Wilson's interval, brute force and properties, edges."""

from collections.abc import Callable
from itertools import combinations
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcome_matrices import NAN, PAPER, Matrix, Table, matrices, nested, scalars
from scipy.stats import norm

from mlc_bench.stats import bootstrap, measures

# --- golden values ---


@pytest.mark.parametrize("row", PAPER)
def test_paper_average_and_variance(row: str) -> None:
    percentages, published_average, published_variance, _ = PAPER[row]
    fractions = np.array(percentages) / 100
    assert 100 * fractions.mean() == pytest.approx(published_average, abs=0.05)  # the paper rounds to 0.1
    assert measures.language_variance(fractions) == pytest.approx(published_variance, abs=0.006)


@pytest.mark.parametrize("row", ["raw", "dpo", "mpo"])
def test_paper_pag_is_attainable(row: str) -> None:
    percentages, _, _, published = PAPER[row]
    counts = [round(180 * rate / 100) for rate in percentages]
    assert published <= measures.pag(nested(counts, 180))


def test_paper_pag_of_mlc_is_not_attainable_by_our_definition() -> None:
    counts = [round(180 * rate / 100) for rate in PAPER["dpo+mlc"][0]]
    assert measures.pag(nested(counts, 180)) == pytest.approx(0.96654, abs=1e-5)
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
    assert measures.pag(matrix) == pytest.approx((3 / 6 + 0 / 1 + 3 / 3) / 3)


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
    assert measures.fleiss_kappa(matrix) == pytest.approx(0.47044, abs=6e-6)


def test_kappa_of_a_complete_table_is_fleiss_1971() -> None:
    matrix = np.random.default_rng(0).integers(0, 2, (50, 6)).astype(np.float64)
    safe = matrix.sum(axis=1)
    observed = ((safe**2 + (6 - safe) ** 2 - 6) / (6 * 5)).mean()
    chance = matrix.mean() ** 2 + (1 - matrix.mean()) ** 2
    assert measures.fleiss_kappa(matrix) == pytest.approx((observed - chance) / (1 - chance))


def test_reference_comparisons_by_hand() -> None:
    matrix: Table = [[1, 0, 1], [1, 1, NAN], [0, 0, 1], [NAN, 0, 0], [1, 0, NAN]]
    assert measures.loophole_rate(matrix, 0) == pytest.approx([0, 2 / 4, 0])
    assert measures.agreement_with_reference(matrix, 0) == pytest.approx([1, 2 / 4, 1 / 2])
    assert measures.all_safe_rate(matrix) == 0
    assert measures.language_rates(matrix) == pytest.approx([3 / 4, 1 / 5, 2 / 3])


# --- Wilson ---


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson_closed_form(case: tuple[int, int], confidence: float) -> None:
    successes, n = case
    z, p = norm.ppf((1 + confidence) / 2), successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert measures.wilson(successes, n, confidence) == pytest.approx((centre - half, centre + half), abs=1e-9)


def test_wilson_edges() -> None:
    assert np.isnan(measures.wilson(0, 0)).all()
    assert measures.wilson(0, 10)[0] == 0
    assert measures.wilson(10, 10)[1] == 1
    with pytest.raises(ValueError, match="greater than n"):
        measures.wilson(3, 2)
    with pytest.raises(ValueError, match="not less than 1"):
        measures.wilson(1, 0)


# --- brute force and properties ---


@given(matrices())
def test_pag_equals_explicit_pairs(matrix: Matrix) -> None:
    scores = []
    for row in matrix:
        pairs = list(combinations(row[~np.isnan(row)], 2))
        if pairs:
            scores.append(np.mean([first == second for first, second in pairs]))
    expected = np.mean(scores) if scores else NAN
    assert measures.pag(matrix) == pytest.approx(expected, nan_ok=True)


@given(matrices(), st.data())
def test_rates_against_reference_equal_loops(matrix: Matrix, data: st.DataObject) -> None:
    reference = data.draw(st.integers(0, matrix.shape[1] - 1))
    loophole, agreement = (
        measures.loophole_rate(matrix, reference),
        measures.agreement_with_reference(matrix, reference),
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
    assert measures.pag(1 - matrix) == pytest.approx(measures.pag(matrix), nan_ok=True)
    assert measures.fleiss_kappa(1 - matrix) == pytest.approx(measures.fleiss_kappa(matrix), nan_ok=True)
    assert measures.agreement_with_reference(1 - matrix, 0) == pytest.approx(
        measures.agreement_with_reference(matrix, 0), nan_ok=True
    )


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=20), st.integers(2, 6))
def test_equal_columns(column: list[float], languages: int) -> None:
    matrix = np.tile(np.array(column)[:, None], (1, languages))
    rates = measures.language_rates(matrix)
    assert measures.pag(matrix) == 1
    assert measures.language_variance(rates) == pytest.approx(0)
    assert measures.language_range(rates) == 0
    assert measures.all_safe_rate(matrix) == pytest.approx(np.mean(column))
    assert measures.average(matrix) == pytest.approx(np.mean(column))
    assert measures.fleiss_kappa(matrix) == pytest.approx(NAN if len(set(column)) == 1 else 1, nan_ok=True)


@given(matrices(), st.data())
def test_counts_equal_repeated_rows(matrix: Matrix, data: st.DataObject) -> None:
    """The vectorised path: weighting prompts is the same as repeating their rows."""
    drawn = data.draw(st.lists(st.integers(0, len(matrix) - 1), min_size=len(matrix), max_size=len(matrix)))
    counts = np.bincount(drawn, minlength=len(matrix)).astype(np.float64)
    expected = measures.Sums(matrix[drawn]).statistics()
    once = measures.Sums(matrix).statistics(counts)
    twice = measures.Sums(np.stack([matrix, matrix])).statistics(np.stack([counts, counts, counts]))
    for name, value in expected.items():
        assert once[name] == pytest.approx(value, nan_ok=True)
        assert twice[name].shape[:2] == (2, 3)
        np.testing.assert_allclose(twice[name], np.broadcast_to(value, twice[name].shape), atol=1e-12)


# --- missing verdicts and edges ---


def test_unjudged_language_makes_macro_statistics_nan_but_not_agreement() -> None:
    matrix: Table = [[1, 1, NAN], [0, 1, NAN], [1, 1, NAN]]
    result = bootstrap.summary(matrix)
    for key in ("average", "var", "worst", "range", "all_safe"):
        assert np.isnan(list(result[key].values())).all()
    assert result["pag"]["value"] == pytest.approx(2 / 3)
    assert result["pag"]["low"] <= 2 / 3 <= result["pag"]["high"]


def test_unjudged_cell_is_neither_safe_nor_unsafe() -> None:
    assert measures.language_rates([[1.0, NAN], [0.0, 1.0]]) == pytest.approx([0.5, 1])
    assert measures.all_safe_rate([[1.0, NAN], [1.0, 1.0]]) == 1


def test_resamples_without_a_sparse_language_are_left_out() -> None:
    matrix = np.column_stack([np.ones(20), np.r_[1.0, 0.0, np.full(18, NAN)]])
    low, high = bootstrap.cluster_bootstrap(matrix, "average")
    assert (low, high) == (0.5, 1)


def test_no_prompts() -> None:
    for entry in bootstrap.summary(np.empty((0, 3))).values():
        assert np.isnan(list(entry.values())).all()
    assert np.isnan(measures.loophole_rate(np.empty((0, 3)), 0)).all()


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
    assert measures.worst([0.5, 0.2, 0.2]) == (1, 0.2)
    assert np.isnan(measures.worst([])).all()


@pytest.mark.parametrize("matrix", [[1, 0], [[0.5, 1]], [[2, 1]], [[]], 1.0, [[[]]]])
def test_malformed_matrix_is_refused(matrix: Any) -> None:
    with pytest.raises(ValueError, match=r"matrix of prompts x languages|verdict must be"):
        measures.pag(matrix)


@pytest.mark.parametrize("function", [measures.language_variance, measures.language_range, measures.worst])
def test_percentages_are_refused(function: Callable[[list[float]], object]) -> None:
    with pytest.raises(ValueError, match="fractions"):
        function([93.3, 96.1])


def test_reference_column_out_of_range() -> None:
    with pytest.raises(IndexError):
        measures.loophole_rate([[1, 0]], 2)
