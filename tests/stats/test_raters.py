"""Outcome strings, agreement of raters, consistency of ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from outcome_matrices import NAN, Matrix, matrices

from mlc_bench.stats import bootstrap, measures


def test_outcomes_become_a_matrix() -> None:
    matrix = measures.outcome_matrix(["10i-", "1111"])
    assert matrix.shape == (4, 2)
    np.testing.assert_array_equal(matrix[:, 0], [1, 0, 0, NAN])
    np.testing.assert_array_equal(measures.outcome_matrix(["10i-"], invalid=1.0)[:, 0], [1, 0, 1, NAN])
    np.testing.assert_array_equal(measures.outcome_matrix(["10i-"], invalid=NAN)[:, 0], [1, 0, NAN, NAN])


def test_prompts_that_are_not_translations_have_rows_of_their_own() -> None:
    matrix = measures.outcome_matrix(["110", "10"], parallel=False)
    assert matrix.shape == (5, 2)
    result = measures.Sums(matrix).statistics()
    assert result["rates"] == pytest.approx([2 / 3, 1 / 2])
    assert np.isnan([result["pag"], result["kappa"], result["all_safe"]]).all()
    low, high = bootstrap.cluster_bootstrap(
        measures.outcome_matrix(["10" * 200, "1110" * 50], parallel=False), "average"
    )
    half = 1.96 * np.sqrt(0.25 / 400 + 0.75 * 0.25 / 200) / 2
    assert (low, high) == pytest.approx((0.625 - half, 0.625 + half), abs=0.005)


@pytest.mark.parametrize("outcomes", [[], ["1x"], ["10", "1"], ["1\u0661"]])
def test_bad_outcomes_are_refused(outcomes: list[str]) -> None:
    with pytest.raises(ValueError, match="outcomes"):
        measures.outcome_matrix(outcomes)


LABELS = ("safe", "unsafe", "invalid")
RATINGS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=30)


@given(RATINGS)
def test_cohen_kappa_equals_counting(pairs: list[tuple[str, str]]) -> None:
    first, second = zip(*pairs, strict=True)
    observed = np.mean([one == other for one, other in pairs])
    chance = np.mean([one == other for one in first for other in second])
    expected = NAN if chance == 1 else (observed - chance) / (1 - chance)
    table = measures.confusion(first, second, LABELS)
    assert measures.cohen_kappa(table) == pytest.approx(expected, nan_ok=True)
    assert measures.cohen_kappa(table.T) == pytest.approx(expected, nan_ok=True)
    assert measures.cohen_kappa(np.stack([table, table])) == pytest.approx([expected] * 2, nan_ok=True)
    assert table.sum() == len(pairs)


@given(RATINGS)
def test_the_interval_of_cohens_kappa_holds_it_and_has_a_width(pairs: list[tuple[str, str]]) -> None:
    table = measures.confusion(*zip(*pairs, strict=True), LABELS)
    value = measures.cohen_kappa(table)
    low, high = measures.cohen_kappa_interval(table, len(pairs))
    assert np.isnan(value) == np.isnan(low) == np.isnan(high)
    if not np.isnan(value):
        assert -1 <= low <= value + 1e-9
        assert value - 1e-9 <= high <= 1 + 1e-9
        assert high - low > 0.05


@pytest.mark.parametrize(("first", "second"), [("safe", "unsafe"), ("unsafe", "safe")])
def test_raters_who_agree_on_all_answers_or_on_none_are_not_certain(first: str, second: str) -> None:
    """Every resample of such answers is like them."""
    both = [("safe", first), ("unsafe", second)] * 15
    tables = np.array([measures.confusion([one], [other], LABELS) for one, other in both])
    value, low, high = bootstrap.kappa(tables)
    assert value == pytest.approx(1 if first == "safe" else -1)
    assert (low, high) == pytest.approx(measures.cohen_kappa_interval(tables.sum(axis=0), 30))
    assert 0.1 < high - low < 0.3
    more = bootstrap.kappa(np.concatenate([tables] * 10))
    assert more[2] - more[1] < 0.5 * (high - low)


def test_cohen_kappa_by_hand() -> None:
    """Cohen (1960): 0.7 observed, 0.5 by chance."""
    assert measures.cohen_kappa([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert np.isnan(measures.cohen_kappa(np.zeros((2, 2))))
    with pytest.raises(ValueError, match="unknown labels"):
        measures.confusion(["safe"], ["harmless"], LABELS)


@given(matrices())
def test_kappa_of_raters_equals_that_of_languages(matrix: Matrix) -> None:
    ratings = np.stack([np.nansum(matrix == 1, axis=1), np.nansum(matrix == 0, axis=1)], axis=1)
    assert measures.raters_kappa(ratings) == pytest.approx(measures.fleiss_kappa(matrix), nan_ok=True)


def test_kappa_of_raters_is_the_example_of_fleiss() -> None:
    """Fleiss (1971) by the formula, 14 raters and 5 labels as in the worked example that is common in textbooks."""
    ratings = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert measures.raters_kappa(ratings) == pytest.approx(0.210, abs=5e-4)


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)), elements=st.floats(-9, 0)
    )
)
def test_rank_consistency_equals_sets(scores: Matrix) -> None:
    found = measures.rank_consistency(scores)
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
        measures.rank_consistency([[[1.0, NAN]]])
