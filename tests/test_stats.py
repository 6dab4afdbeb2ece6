"""Golden values, brute force, properties and coverage of mlc_bench.stats."""

import runpy
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
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
    expected = stats.Sums(matrix[drawn]).statistics()
    once = stats.Sums(matrix).statistics(counts)
    twice = stats.Sums(np.stack([matrix, matrix])).statistics(np.stack([counts, counts, counts]))
    for name, value in expected.items():
        assert once[name] == pytest.approx(value, nan_ok=True)
        assert twice[name].shape[:2] == (2, 3)
        np.testing.assert_allclose(twice[name], np.broadcast_to(value, twice[name].shape), atol=1e-12)


# --- bootstrap ---


@settings(max_examples=60, deadline=None)
@given(matrices(cells=(0.0, 1.0)).filter(lambda matrix: len(matrix) > 1))
def test_interval_of_the_mean_contains_the_estimate(matrix: Matrix) -> None:
    low, high = bootstrap.cluster_bootstrap(matrix, "average", resamples=400)
    assert 0 <= low <= stats.average(matrix) + 1e-12
    assert stats.average(matrix) - 1e-12 <= high <= 1


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
    expected = {"value": stats.pag(matrix)}
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
    low, high = bootstrap.cluster_bootstrap(matrix, "average")
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


# --- outcome strings, agreement of raters, ranks ---


def test_outcomes_become_a_matrix() -> None:
    matrix = stats.outcome_matrix(["10i-", "1111"])
    assert matrix.shape == (4, 2)
    np.testing.assert_array_equal(matrix[:, 0], [1, 0, 0, NAN])
    np.testing.assert_array_equal(stats.outcome_matrix(["10i-"], invalid=1.0)[:, 0], [1, 0, 1, NAN])
    np.testing.assert_array_equal(stats.outcome_matrix(["10i-"], invalid=NAN)[:, 0], [1, 0, NAN, NAN])


def test_prompts_that_are_not_translations_have_rows_of_their_own() -> None:
    matrix = stats.outcome_matrix(["110", "10"], parallel=False)
    assert matrix.shape == (5, 2)
    result = stats.Sums(matrix).statistics()
    assert result["rates"] == pytest.approx([2 / 3, 1 / 2])
    assert np.isnan([result["pag"], result["kappa"], result["all_safe"]]).all()
    low, high = bootstrap.cluster_bootstrap(stats.outcome_matrix(["10" * 200, "1110" * 50], parallel=False), "average")
    half = 1.96 * np.sqrt(0.25 / 400 + 0.75 * 0.25 / 200) / 2
    assert (low, high) == pytest.approx((0.625 - half, 0.625 + half), abs=0.005)


@pytest.mark.parametrize("outcomes", [[], ["1x"], ["10", "1"], ["1\u0661"]])
def test_bad_outcomes_are_refused(outcomes: list[str]) -> None:
    with pytest.raises(ValueError, match="outcomes"):
        stats.outcome_matrix(outcomes)


LABELS = ("safe", "unsafe", "invalid")
RATINGS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30)


@given(RATINGS)
def test_cohen_kappa_equals_counting(pairs: list[tuple[str, str]]) -> None:
    first, second = zip(*pairs, strict=True)
    observed = np.mean([one == other for one, other in pairs])
    chance = np.mean([one == other for one in first for other in second])
    expected = NAN if chance == 1 else (observed - chance) / (1 - chance)
    table = stats.confusion(first, second, LABELS)
    assert stats.cohen_kappa(table) == pytest.approx(expected, nan_ok=True)
    assert stats.cohen_kappa(table.T) == pytest.approx(expected, nan_ok=True)
    assert stats.cohen_kappa(np.stack([table, table])) == pytest.approx([expected] * 2, nan_ok=True)
    assert table.sum() == len(pairs)


def test_cohen_kappa_by_hand() -> None:
    """Cohen (1960): 0.7 observed, 0.5 by chance."""
    assert stats.cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert np.isnan(stats.cohen_kappa(np.zeros((2, 2))))
    with pytest.raises(ValueError, match="unknown labels"):
        stats.confusion(["safe"], ["harmless"], LABELS)


@given(matrices())
def test_kappa_of_raters_equals_that_of_languages(matrix: Matrix) -> None:
    ratings = np.stack([np.nansum(matrix == 1, axis=1), np.nansum(matrix == 0, axis=1)], axis=1)
    assert stats.raters_kappa(ratings) == pytest.approx(stats.fleiss_kappa(matrix), nan_ok=True)


def test_kappa_of_raters_is_the_example_of_fleiss() -> None:
    """Fleiss (1971) by the formula, 14 raters and 5 labels as in the worked example that is common in textbooks."""
    ratings = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert stats.raters_kappa(ratings) == pytest.approx(0.210, abs=5e-4)


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)), elements=st.floats(-9, 0)
    )
)
def test_rank_consistency_equals_sets(scores: Matrix) -> None:
    found = stats.rank_consistency(scores)
    for prompt, of_prompt in enumerate(scores):
        orders = [sorted(range(len(row)), key=lambda k, row=row: (-row[k], k)) for row in of_prompt]
        n = scores.shape[2]
        weights = [np.exp(n - j) / sum(np.exp(n - k) for k in range(1, n + 1)) for j in range(1, n + 1)]
        for one, first in enumerate(orders):
            for other, second in enumerate(orders):
                expected = sum(w * len({*first[:j]} & {*second[:j]}) / j for j, w in enumerate(weights, 1))
                assert found[prompt, one, other] == pytest.approx(expected)


def test_rank_consistency_knows_no_nan() -> None:
    with pytest.raises(ValueError, match="nan"):
        stats.rank_consistency([[[1.0, NAN]]])


# --- many models ---


@settings(max_examples=25, deadline=None)
@given(st.lists(matrices(), min_size=1, max_size=1), st.integers(0, 3))
def test_models_together_are_as_each_alone(one: list[Matrix], others: int) -> None:
    generator = np.random.default_rng(0)
    models = [*one, *(generator.permutation(one[0]) for _ in range(others))]
    together = bootstrap.paired_bootstrap(models, ("rates", *stats.SUMMARY), resamples=60, seed=3)
    for index, matrix in enumerate(models):
        alone = bootstrap.paired_bootstrap([matrix], ("rates", *stats.SUMMARY), resamples=60, seed=3)
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
    for name in stats.SUMMARY:
        first, second = ([table[name][key] for key in ("value", "low", "high")] for table in (whole, shuffled))
        assert first == pytest.approx(second, nan_ok=True)


# --- coverage ---


def test_clustered_intervals_hold_the_truth_where_naive_ones_do_not() -> None:
    """1500 samples of 180 prompts, the languages of a prompt correlated; see benchmarks/interval_coverage.py."""
    benchmark = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "interval_coverage.py"))
    rates = np.array(benchmark["RATES"])
    held, naive = benchmark["coverage"](prompts=180, trials=1500, rates=rates, correlation=0.5, resamples=400)
    assert 0.93 <= held["average"] <= 0.97
    assert 0.93 <= held["pag"] <= 0.97
    assert 0.92 <= held["var"] <= 0.97
    assert naive < 0.85
