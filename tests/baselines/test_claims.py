"""Claims called by their rules on made-up records."""

import numpy as np
import pytest
import sample_records
from made_up_arms import called, run

from mlc_bench.leaderboard.report import claims
from mlc_bench.stats import bootstrap, measures


def test_a_clear_gain_is_reproduced_and_no_gain_is_not():
    found = called(
        run("m-dpo-s1", {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}, n=400), run("m-dpo+mlc-s1", 0.9, n=400)
    )
    assert {number: found[number].call for number in (1, 2, 3, 4, 8)} == dict.fromkeys((1, 2, 3, 4, 8), "reproduced")
    assert found[1].effect.value == pytest.approx(0.7 * 2 / 3)
    assert found[1].effect.low < found[1].effect.value < found[1].effect.high
    assert found[4].languages == ("ar",)
    same = called(run("m-dpo-s1", n=400), run("m-dpo+mlc-s1", n=400))
    assert {number: same[number].call for number in (1, 2, 3, 4)} == dict.fromkeys((1, 2, 3, 4), "not reproduced")
    assert same[5].call == "reproduced"  # utility moves by nothing


def test_refusing_everything_is_seen_by_the_questions_on_over_refusal():
    found = called(run("m-dpo-s1", 0.2, benign=0.2), run("m-dpo+mlc-s1", 0.9, benign=0.9))
    assert found[1].call == "reproduced"
    assert found[9].call == "reproduced"  # over-refusal rises
    assert found[10].call == "not reproduced"  # by as much as safety: no more than readiness to refuse
    told_apart = called(run("m-dpo-s1", 0.2, benign=0.1, n=400), run("m-dpo+mlc-s1", 0.9, benign=0.1, n=400))
    assert (told_apart[9].call, told_apart[10].call) == ("not reproduced", "reproduced")
    # Forty prompts without a difference leave room for six points.
    few = called(run("m-dpo-s1", 0.2, benign=0.1), run("m-dpo+mlc-s1", 0.9, benign=0.1))
    assert few[9].call == "undecided"
    assert few[9].effect.high == pytest.approx(0.066, abs=0.0005)


def test_a_gain_that_hangs_on_invalid_answers_is_undecided():
    # Without MLC all failures are invalid: left out, nothing is gained.
    found = called(run("m-dpo-s1", 0.5, invalid="i"), run("m-dpo+mlc-s1", 1.0))
    assert found[1].call == "undecided"
    assert "invalid" in found[1].note


def test_a_higher_pag_by_losing_safety_is_no_success():
    found = called(run("m-dpo-s1", {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}), run("m-dpo+mlc-s1", 0.0))
    assert found[3].effect.low > 0
    assert found[3].call == "undecided"


def test_seeds_widen_the_interval_by_how_much_their_differences_differ():
    def over(dpo, mlc):
        made = [run(f"m-dpo-s{seed}", rate) for seed, rate in enumerate(dpo, 1)]
        return called(*made, *(run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in enumerate(mlc, 1)))[1].effect

    one, apart, alike = over([0.4], [0.7]), over([0.4] * 3, [0.5, 0.7, 0.9]), over([0.2, 0.4, 0.6], [0.5, 0.7, 0.9])
    assert (one.seeds, apart.seeds, alike.seeds) == (1, 3, 3)
    assert {round(found.value, 9) for found in (one, apart, alike)} == {0.3}
    widths = [found.high - found.low for found in (one, apart, alike)]
    assert 2 * widths[0] < widths[1]
    assert widths[0] < widths[2] < 0.7 * widths[1]  # each seed moved by the same, if not on the same prompts


def test_intervals_end_at_what_is_possible():
    made = [run(f"m-dpo-s{seed}", 0.0) for seed in (1, 2)]
    found = called(*made, *(run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in ((1, 0.6), (2, 1.0))))
    assert found[1].effect.high == 1.0
    assert found[10].effect.high <= 2.0


def test_a_difference_is_over_the_seeds_that_both_have():
    dpo = [run(f"m-dpo-s{seed}", rate) for seed, rate in ((1, 0.2), (2, 0.9))]
    mlc = [run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in ((1, 0.5), (3, 0.1))]
    found = called(*dpo, *mlc)[1].effect
    assert (found.value, found.seeds) == (pytest.approx(0.3), 1)
    assert called(dpo[1], *mlc)[1].call == "not run"
    # A model that was not trained is the same with every seed.
    arms = claims.arms([run("base", 0.1), *dpo], {"base": ("m", "base")})
    against = claims.effect(arms["m", "dpo"], arms["m", "base"], "starter_harmful", ["en"])
    assert (against.value, against.seeds) == (pytest.approx(0.45), 2)


def test_intervals_hold_the_truth_with_three_seeds(monkeypatch):
    """Made-up arms whose seeds differ more than chance: the share of intervals that hold the true difference of 0."""
    monkeypatch.setattr(bootstrap, "PAIRED", 400)
    generator = np.random.default_rng(0)

    def arm(method, prompts):
        seeds = {}
        for seed in (1, 2, 3):
            level = prompts[:, None] + 0.8 * generator.normal() + np.array([0.3, -0.3])
            hits = generator.random(level.shape) < 1 / (1 + np.exp(-level))
            strings = {
                code: "".join("01"[int(hit)] for hit in hits[:, place]) for place, code in enumerate(("en", "sw"))
            }
            found = sample_records.task_result("starter_harmful", "safety", None, strings)
            seeds[seed] = template.model_copy(update={"tasks": [found]})
        return claims.Arm("m", method, seeds)

    template, held, trials = run("m-a-s1"), 0, 100
    for _ in range(trials):
        prompts = generator.normal(size=40)
        effect = claims.effect(arm("a", prompts), arm("b", prompts), "starter_harmful", ["en", "sw"])
        held += effect.low <= 0 <= effect.high
    assert held / trials > 0.9  # a plain bootstrap of three seeds: 0.85


def test_question_10_is_undecided_where_it_hangs_on_invalid_answers():
    found = called(run("m-dpo-s1", 0.5, invalid="i"), run("m-dpo+mlc-s1", 1.0))
    assert found[10].call == "undecided"
    assert "invalid" in found[10].note


def test_no_valid_answer_in_a_language_is_said():
    found = called(run("m-dpo-s1", {"en": 0.9, "sw": 0.0, "ps": 0.0, "ar": 0.0}, invalid="i"), run("m-dpo+mlc-s1", 0.9))
    assert found[1].call == "reproduced"
    assert "no valid answer" in found[1].note


def test_what_was_not_run_or_differs_is_not_called():
    assert called(run("m-dpo-s1"))[1].call == "not run"
    other = run("m-dpo+mlc-s1", system_prompt="be kind")  # another comparability key
    assert called(run("m-dpo-s1"), other)[1].call == "not run"
    assert called(run("m-dpo-s1"), run("m-dpo+mlc-s1"))[6].call == "not run"  # no MPO


def test_net_effect_draws_contrast_pairs_together():
    """A contrast pair of which a model refuses both adds nothing, in every resample: the interval has no width."""
    first, second = (
        claims.Arm("m", "a", {1: run("m-a-s1", 0.5, benign=0.5)}),
        claims.Arm("m", "b", {1: run("m-b-s1", 0.25, benign=0.25)}),
    )
    found = claims.net_effect(first, second, "starter_harmful", "starter_benign", ["en", "sw"])
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_levels_have_intervals(tmp_path):
    base, *seeds = (run(f"m-dpo-s{seed}", rate, 0.0) for seed, rate in ((1, 0.5), (2, 0.6), (3, 0.7)))
    one = claims.level(claims.Arm("m", "dpo", {1: base}), "starter_harmful", ["en", "sw"])
    assert one.value == pytest.approx(0.5)
    assert one.low < one.value < one.high
    many = claims.Arm("m", "dpo", {number: content for number, content in enumerate((base, *seeds))})
    several = claims.level(many, "starter_harmful", ["en", "sw"])
    assert several.value == pytest.approx(0.6)
    assert several.high - several.low > one.high - one.low  # seeds differ
    for arm in (claims.Arm("m", "dpo", {1: base}), many):
        none = claims.level(arm, "starter_benign", ["en", "sw"])
        assert (none.value, none.low) == (0.0, 0.0)
        assert none.high == pytest.approx(measures.wilson(0, 40)[1])  # not certain: 40 prompts
