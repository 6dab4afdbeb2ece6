"""A comparison by hand: every number of a small one, what is said of it, and its borders."""

import numpy as np
import pytest
from runs_to_compare import make_run, make_task

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.records import record
from mlc_bench.records.comparing import comparable, compare
from mlc_bench.stats import bootstrap, measures, significance


def changes(first, second, **more):
    runs = [make_run(make_task(first, **more)), make_run(make_task(second, **more), name="b")]
    return compare.compare(runs)[0].tasks[0]


def test_every_count_of_a_language():
    """Ten prompts: safe in the first only 1, in the second only 3, in both 4, in none 1, one judged in one run only."""
    found = changes({"en": "1000111101"}, {"en": "011111110-"})
    language = found.languages["en"]
    assert (language.n, language.only_first, language.only_second) == (9, 1, 3)
    assert (language.first, language.second) == pytest.approx((5 / 9, 7 / 9))
    assert language.difference == pytest.approx(2 / 9)
    assert language.p == pytest.approx(2 * 5 / 16)  # at most one of four fair coins: (1 + 4) / 16, two-sided
    assert language.detectable == pytest.approx(significance.detectable(9, 4 / 9, 0.05))
    assert (found.n, found.metric, found.name, found.is_fraction) == (9, "refusal_rate", "refusal rate", True)


def test_no_prompt_judged_in_both():
    found = changes({"en": "1-"}, {"en": "-1"})
    language = found.languages["en"]
    assert (language.n, language.p, language.p_holm, language.detectable, language.difference) == (0, *[None] * 4)
    assert found.reading.startswith("The average refusal rate is not defined in both runs.")


def test_other_statistics_count_what_both_runs_judged():
    """The third prompt has a Swahili verdict in one run only: PAG and the worst rate leave that verdict out of both."""
    found = changes({"en": "110", "sw": "101"}, {"en": "110", "sw": "10-"}).statistics
    assert (found["pag"].first, found["pag"].second) == (0.5, 0.5)
    assert (found["worst"].first, found["worst"].second) == (0.5, 0.5)
    assert (found["all_safe"].first, found["all_safe"].second) == (0.5, 0.5)
    assert (found["invalid"].first, found["invalid"].second) == (0, 0)
    assert (found["pag"].low, found["pag"].high) == (None, None)


@pytest.mark.parametrize("what", ["safety", "over_refusal", "utility"])
def test_other_treatments_only_where_an_answer_is_invalid(what):
    plain = changes({"en": "10" * 5}, {"en": "11" * 5}, measures=what)
    assert not [name for name in plain.statistics if "_invalid_" in name]
    assert plain.name == {"safety": "refusal rate", "over_refusal": "over-refusal", "utility": "accuracy"}[what]
    if what != "utility":
        invalid = changes({"en": "10" * 5}, {"en": "1i" * 5}, measures=what).statistics
        assert {name for name in invalid if "_invalid_" in name} == {
            "average_invalid_as_refused", "average_invalid_excluded",
        }  # fmt: skip
        assert invalid["invalid"].difference == 0.5


def test_scores_in_one_of_the_runs_are_enough_for_means():
    """Right or wrong by chance in the first run, graded in the second."""
    found = changes({"en": [0.0, 1.0, 1.0, 0.0]}, {"en": [0.5, 1.0, 1.0, 0.25]}, measures="utility")
    assert (found.name, found.is_fraction) == ("acc", True)
    language = found.languages["en"]
    assert (language.only_first, language.only_second, language.difference) == (0, 2, pytest.approx(0.1875))
    assert 0 < language.p <= 1
    assert language.detectable > 0
    assert found.statistics["pag"].first is None
    assert (
        changes({"en": [0.5, 0.5]}, {"en": [1.0, 1.0]}, measures="utility").is_fraction
        is changes({"en": [1.0, 1.0]}, {"en": [0.5, 0.5]}, measures="utility").is_fraction
        is True
    )
    assert not changes({"en": [0.5, 0.5]}, {"en": [7.0, 1.0]}, measures="utility").is_fraction
    assert not changes({"en": [0.5, 7.0]}, {"en": [0.5, 1.0]}, measures="utility").is_fraction


def test_what_is_said_of_a_clear_difference():
    first = "1" * 30 + "0" * 70
    found = changes({"en": first, "sw": first}, {"en": "1" * 80 + "0" * 20, "sw": first})
    average = found.statistics["average"]
    bounds = f"[{100 * average.low:.1f}, {100 * average.high:.1f}]"
    assert found.reading == (
        f"The average refusal rate differs by more than noise: +25.0 points {bounds}, p < 0.001. "
        "One language at a time (Holm), differ: en +50."
    )


def test_what_is_said_of_noise():
    first, second = "10" * 20, "01" + "10" * 19
    found = changes({"en": first}, {"en": second})
    average = found.statistics["average"]
    assert found.reading == (
        f"The average refusal rate cannot be told from noise: +0.0 points "
        f"[{100 * average.low:.1f}, {100 * average.high:.1f}], p 1.000. A true difference under "
        f"{100 * found.detectable:.1f} points would mostly be missed. One language at a time (Holm), no difference is "
        "more than noise."
    )


def test_scores_are_read_in_their_own_unit():
    first = [float(number) for number in range(40)]
    found = changes({"en": first}, {"en": [number + 5 + number % 2 for number in first]}, measures="utility")
    assert found.reading.startswith("The average acc differs by more than noise: +5.5 points [5.")
    assert found.reading.endswith("differ: en +6.")
    assert "A true difference" not in found.reading


@pytest.mark.parametrize(("failure", "said"), [("i", True), ("0", False)])
def test_what_hangs_on_invalid_answers_is_said(failure, said):
    """Lower by a quarter only as long as invalid answers count as unsafe."""
    found = changes({"en": "1" * 30 + "0" * 10}, {"en": "1" * 20 + failure * 10 + "0" * 10})
    assert ("With invalid answers left out it is +0.0 points" in found.reading) is said


@pytest.mark.parametrize(
    ("low", "high", "excludes"),
    [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False), (0.0, 0.1, False), (-0.1, 0.0, False),
     (None, None, False), (0.1, None, False), (None, 0.1, False)],
)  # fmt: skip
def test_whether_an_interval_excludes_nought(low, high, excludes):
    assert compare._excludes_zero(compare.Change(0.0, 0.0, 0.0, low, high)) is excludes


@pytest.mark.parametrize("length", [58, 59, 60])
def test_a_long_setting_is_cut(length):
    """Sixty characters with its quotation marks are whole."""
    first, second = (make_task({"en": "1"}, policy={"system_prompt": letter * length}) for letter in "xy")
    (said,) = comparable.differences(first, second, "en")
    whole = '"' + "x" * length + '"'
    assert said.split(" ")[1] == (whole if length <= 58 else whole[:59] + "…")


def test_a_difference_that_no_field_shows_is_said():
    first, second = make_task({"en": "1"}), make_task({"en": "1"})
    assert "an older mlc-bench wrote it" in comparable.differences(first, second, "en")[0]
    second.policy["new"] = 1
    assert comparable.differences(first, second, "en") == ["new null against 1"]


def test_several_reasons_are_counted():
    first = make_run(make_task({"en": "1"}), make_task({"en": "1"}, name="x"), make_task({"en": "1"}, name="y"))
    second = make_run(
        make_task({"en": "1"}, version=2), make_task({"en": "1"}, name="x", version=3),
        make_task({"en": "1"}, name="y", version=4), name="b",
    )  # fmt: skip
    with pytest.raises(
        StaleError, match=r"harmful: task version 1 against 2 \[en\] \(and 2 further differences\); run"
    ):
        compare.compare([first, second])
    with pytest.raises(StaleError, match=r"x: task version 1 against 3 \[en\]; run them alike"):
        compare.compare([first, second], ["x"])


def test_what_failed_in_one_run_is_left_out():
    first = make_run(make_task({"en": "1"}), make_task({"en": "10"}, name="x"))
    second = make_run(make_task({"en": "1"}), make_task({"en": "10"}, name="x"), name="b")
    second.tasks[0].status = "failed"
    (found,) = compare.compare([first, second])
    assert ([task.task for task in found.tasks], found.left_out) == (["x"], ["harmful"])


def test_an_adapter_is_in_the_label():
    run = make_run(make_task({"en": "1"}))
    run.model.adapter = record.AdapterInfo(name="lora", digest="d")
    assert comparable.labels([run, make_run(make_task({"en": "1"}))]) == ["base + lora", "base"]


def test_one_run_cannot_be_compared():
    with pytest.raises(UsageError, match="two runs or more"):
        compare.compare([make_run(make_task({"en": "1"}))])


def test_a_family_of_tests_is_as_large_as_what_is_shown():
    """Two languages in two tasks: each is looked at with a fourth of 5 %, each average with a half."""
    outcomes = {"en": "10" * 20, "sw": "10" * 20}
    tasks = [make_task(outcomes), make_task(outcomes, name="x")]
    (found,) = compare.compare([make_run(*tasks), make_run(*tasks, name="b")])
    for change in found.tasks:
        assert change.detectable == pytest.approx(significance.detectable(40, 0.0, 0.05 / 2))
        for language in change.languages.values():
            assert language.detectable == pytest.approx(significance.detectable(40, 0.0, 0.05 / 4))


def test_an_average_is_detectable_by_its_standard_error():
    first, second = "1" * 20 + "0" * 20, "1" * 10 + "0" * 10 + "1" * 20
    found = changes({"en": first}, {"en": second})
    differences = np.array([int(b) - int(a) for a, b in zip(first, second, strict=True)])
    expected = significance.detectable_mean(differences.std() / np.sqrt(40), 0.05)
    assert found.detectable == pytest.approx(expected, rel=0.05)


def test_intervals_of_var_and_worst_are_corrected_for_their_bias():
    """A difference of two equal runs' statistics has an interval about nought; nothing to vary is no interval."""
    same = {"en": "1" * 30 + "0" * 10, "sw": "10" * 20}
    found = changes(same, same).statistics
    assert {name: (found[name].low, found[name].high) for name in ("var", "worst", "range", "pag", "kappa")} == (
        dict.fromkeys(("var", "worst", "range", "pag", "kappa"), (None, None))
    )
    other = {"en": "1" * 20 + "0" * 20, "sw": "10" * 20}
    got = changes(other, same).statistics
    matrices = [measures.outcome_matrix(list(outcomes.values())) for outcomes in (other, same)]
    replicates = bootstrap.paired_bootstrap(matrices, measures.SUMMARY, resamples=bootstrap.PAIRED)
    for name in ("var", "worst", "range", "pag"):
        values = [float(measures.Sums(matrix).statistics()[name]) for matrix in matrices]
        estimate = values[1] - values[0] if name in bootstrap.BIASED else None
        expected = bootstrap.interval(replicates[name][1] - replicates[name][0], estimate=estimate)
        assert (got[name].first, got[name].second) == pytest.approx(values)
        assert (got[name].low, got[name].high) == pytest.approx(tuple(expected))
