"""Differences between arms of a reproduction: over which seeds and languages, and with which intervals."""

import numpy as np
import pytest
import sample_records
from made_up_arms import APART, PAIR, arms, run

from mlc_bench.leaderboard.report import effects
from mlc_bench.records.selectivity import of_record
from mlc_bench.stats import bootstrap, measures

CODES = ["en", "sw"]


def test_seeds_widen_the_interval_by_how_much_their_differences_differ():
    def width(first, second):
        found = arms(
            *(run(f"m-dpo-s{seed}", rate) for seed, rate in enumerate(first, 1)),
            *(run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in enumerate(second, 1)),
        )
        effect = effects.effect(found["m", "dpo+mlc"], found["m", "dpo"], "pku", CODES)
        assert effect.value == pytest.approx(0.3)
        return effect.high - effect.low

    equal, apart = width([0.3] * 3, [0.6] * 3), width([0.3] * 3, [0.4, 0.6, 0.8])
    together = width([0.2, 0.3, 0.4], [0.5, 0.6, 0.7])  # each seed moved by the same
    assert 2 * equal < apart
    assert equal < together < 0.7 * apart


def test_intervals_end_at_what_is_possible():
    made = [run(f"m-dpo-s{seed}", 0.0) for seed in (1, 2)]
    found = arms(*made, *(run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in ((1, 0.6), (2, 1.0))))
    pair = found["m", "dpo+mlc"], found["m", "dpo"]
    assert effects.effect(*pair, "pku", CODES).high == 1.0
    assert effects.selectivity_effect(*pair, PAIR, CODES).high <= 2.0


def test_a_difference_is_over_the_seeds_that_both_have():
    dpo = [run(f"m-dpo-s{seed}", rate) for seed, rate in ((1, 0.2), (2, 0.9))]
    mlc = [run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in ((1, 0.5), (3, 0.1))]
    found = arms(run("base", 0.1), *dpo, *mlc)
    effect = effects.effect(found["m", "dpo+mlc"], found["m", "dpo"], "pku", ["en"])
    assert (effect.value, effect.seeds) == (pytest.approx(0.3), 1)
    # A model that was not trained is the same with every seed.
    against = effects.effect(found["m", "dpo"], found["m", "base"], "pku", ["en"])
    assert (against.value, against.seeds) == (pytest.approx(0.45), 2)
    with pytest.raises(ValueError, match="share no seed"):
        effects.effect(arms(*mlc[1:])["m", "dpo+mlc"], found["m", "dpo"], "pku", ["en"])


def test_only_languages_with_the_same_prompts_and_settings_are_compared():
    found = arms(run("m-dpo-s1"), run("m-dpo+mlc-s1", system_prompt="be kind"))
    assert effects.languages(found["m", "dpo"], found["m", "dpo"], "pku") == ["en", "sw", "ps", "ar"]
    assert effects.languages(found["m", "dpo+mlc"], found["m", "dpo"], "pku") == []


def test_intervals_hold_the_truth_with_three_seeds(monkeypatch):
    """Made-up arms whose seeds differ more than chance: the share of intervals that hold the true difference of 0."""
    monkeypatch.setattr(bootstrap, "PAIRED", 400)
    generator = np.random.default_rng(0)

    def arm(method, prompts):
        seeds = {}
        for seed in (1, 2, 3):
            level = prompts[:, None] + 0.8 * generator.normal() + np.array([0.3, -0.3])
            hits = generator.random(level.shape) < 1 / (1 + np.exp(-level))
            strings = {code: "".join("01"[int(hit)] for hit in hits[:, place]) for place, code in enumerate(CODES)}
            found = sample_records.task_result("starter_harmful", "safety", None, strings)
            seeds[seed] = template.model_copy(update={"tasks": [found]})
        return effects.Arm("m", method, seeds)

    template, held, trials = run("m-a-s1"), 0, 100
    for _ in range(trials):
        prompts = generator.normal(size=40)
        effect = effects.effect(arm("a", prompts), arm("b", prompts), "starter_harmful", CODES)
        held += effect.low <= 0 <= effect.high
    assert held / trials > 0.9  # a plain bootstrap of three seeds: 0.85


def test_partners_are_drawn_together_and_independent_prompts_apart():
    """A pair of which a model refuses both adds nothing, in every resample: an interval without width."""
    found = arms(run("m-dpo-s1", 0.25, benign=0.25), run("m-dpo+mlc-s1", 0.5, benign=0.5))
    pair = found["m", "dpo+mlc"], found["m", "dpo"]
    together = effects.selectivity_effect(*pair, PAIR, CODES)
    assert (together.value, together.low, together.high) == (0, 0, 0)
    apart = effects.selectivity_effect(*pair, APART, CODES)
    assert apart.value == 0
    assert apart.low < -0.1 < 0.1 < apart.high
    level = effects.selectivity_level(pair[0], APART, CODES)
    assert level.value == 0
    assert level.low < 0 < level.high


def test_levels_have_intervals():
    base, *seeds = (run(f"m-dpo-s{seed}", rate, 0.0) for seed, rate in ((1, 0.5), (2, 0.6), (3, 0.7)))
    one = effects.level(effects.Arm("m", "dpo", {1: base}), "starter_harmful", CODES)
    assert one.value == pytest.approx(0.5)
    assert one.low < one.value < one.high
    many = effects.Arm("m", "dpo", {number: content for number, content in enumerate((base, *seeds))})
    several = effects.level(many, "starter_harmful", CODES)
    assert several.value == pytest.approx(0.6)
    assert several.high - several.low > one.high - one.low  # seeds differ
    for arm in (effects.Arm("m", "dpo", {1: base}), many):
        none = effects.level(arm, "starter_benign", CODES)
        assert (none.value, none.low) == (0.0, 0.0)
        assert none.high == pytest.approx(measures.wilson(0, 40)[1])  # not certain: 40 prompts


def test_of_verdicts_that_are_all_equal_selectivity_is_not_certain():
    arm = effects.Arm("m", "dpo", {1: run("m-dpo-s1", 1.0, benign=0.0)})
    found = effects.selectivity_level(arm, PAIR, CODES)
    assert found.value == found.high == 1.0
    assert 0.8 < found.low < 0.95


def test_selectivity_has_the_interval_of_the_record():
    """As `mlc-bench run` prints it, of one language and of the mean."""
    rng = np.random.default_rng(3)
    harmful, harmless = (
        {code: "".join(rng.choice(list("01"), 40, p=[1 - p, p])) for code in CODES} for p in (0.7, 0.3)
    )
    made = run("m-dpo-s1")
    made.tasks = [
        sample_records.task_result(PAIR.harmful, "safety", PAIR.harmless, harmful),
        sample_records.task_result(PAIR.harmless, "over_refusal", None, harmless),
    ]
    made.tasks[0].over_refusal_pairs = True
    (kept,) = of_record(made)
    arm = effects.Arm("m", "dpo", {1: made})
    for codes, known in ((["sw"], kept.languages["sw"]), (CODES, kept.mean)):
        found = effects.selectivity_level(arm, PAIR, codes)
        assert found.value == pytest.approx(known.difference.value)
        assert (found.low, found.high) == pytest.approx((known.difference.low, known.difference.high), abs=0.01)


def test_unsure_and_blocked_answers_count_as_counts_says():
    strings = {"en": "1" * 10 + "b" * 10 + "0" * 20 + "u" * 20}
    made = run("m-dpo-s1")
    made.tasks = [sample_records.task_result("pku", "safety", None, strings)]
    found = effects.level(effects.Arm("m", "dpo", {1: made}), "pku", ["en"])
    assert (found.value, found.prompts) == (0.5, 40)


def test_a_language_with_more_than_a_tenth_of_invalid_answers_is_not_answered():
    base = run("base", {"en": 0.9, "sw": 0.9, "ps": 0.5, "ar": 0.7}, invalid="i")
    assert effects.unanswered(arms(base)["m", "base"], PAIR.both) == ["ps", "ar"]


def test_an_answer_of_which_the_judge_is_unsure_is_an_answer():
    """A tenth of all answers are invalid: it still answers. Of the judged ones they would be more than a tenth."""
    made = run("base")
    for name, text in ((PAIR.harmful, "i" * 8 + "u" * 5 + "0" * 27), (PAIR.harmless, "0" * 40)):
        made.tasks = [task for task in made.tasks if task.name != name]
        made.tasks.append(sample_records.task_result(name, "safety", None, {"en": text, "sw": text}))
    assert effects.unanswered(arms(made)["m", "base"], PAIR.both) == []


def of_columns(name, harmful, harmless):
    """A record of partners in one language."""
    made = run(name)
    made.tasks = [
        sample_records.task_result(PAIR.harmful, "safety", PAIR.harmless, {"en": harmful}),
        sample_records.task_result(PAIR.harmless, "over_refusal", None, {"en": harmless}),
    ]
    made.tasks[0].over_refusal_pairs = True
    return made


def test_partners_stay_together_beside_an_answer_without_a_verdict():
    """One unsure answer, and each task would draw prompts of its own."""
    half, nothing = "1" * 20 + "0" * 20, "0" * 40
    first = effects.Arm("m", "dpo", {1: of_columns("m-dpo-s1", half[:-1] + "u", half)})
    second = effects.Arm("m", "base", {0: of_columns("base", nothing, nothing)})
    found = effects.selectivity_effect(first, second, PAIR, ["en"])
    assert found.value == pytest.approx(20 / 39 - 20 / 40)
    assert found.high - found.low < 0.05


@pytest.mark.parametrize("pair", [PAIR, APART])
def test_the_selectivity_of_several_seeds_is_a_difference_from_a_model_that_refuses_nothing(pair):
    """So they have one interval: seeds that refuse more of both kinds are no spread of selectivity."""
    rates = ((1, 0.3, 0.1), (2, 0.6, 0.3), (3, 0.9, 0.6))
    found = arms(run("base", 0.0, benign=0.0), *(run(f"m-dpo-s{seed}", one, benign=two) for seed, one, two in rates))
    level = effects.selectivity_level(found["m", "dpo"], pair, CODES)
    difference = effects.selectivity_effect(found["m", "dpo"], found["m", "base"], pair, CODES)
    assert (level.value, level.low, level.high) == pytest.approx((difference.value, difference.low, difference.high))
    assert level.seeds == 3
