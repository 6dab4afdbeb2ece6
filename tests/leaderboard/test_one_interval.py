"""The interval of a difference is one, whoever prints it: `compare`, the leaderboard's gains, the report's claims."""

import numpy as np
import pytest
import sample_records
from boards import board, cell, task_table

from mlc_bench.leaderboard.report import effects
from mlc_bench.records.comparing import compare
from mlc_bench.stats import bootstrap, significance

LANGUAGES = ("en", "sw", "ps")
MANIFEST = {"base_model": {"name": "m-base-s1", "weights_digest": sample_records.sha("weights m-base-s1")}}


def pair(first, second):
    """A base model and one trained from it, on `harm` alone; `first`, `second`: outcomes by language."""
    tasks = (("harm", "safety", None),)
    codes = tuple(first)
    base = sample_records.make("m-base-s1", tasks=tasks, strings={"harm": first}, languages=codes)
    tuned = sample_records.make(
        "m-dpo-s1", tasks=tasks, strings={"harm": second}, languages=codes, training=MANIFEST | {"method": "dpo"}
    )
    return base, tuned


def drawn(seed, rate, prompts=120, unscored=0.0, invalid=0.05):
    generator = np.random.default_rng(seed)
    shares = [(1 - unscored - invalid) * rate, (1 - unscored - invalid) * (1 - rate), invalid, unscored]
    return {code: "".join(generator.choice(list("10i-"), prompts, p=shares)) for code in LANGUAGES}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (drawn(1, 0.4), drawn(2, 0.6)),
        (drawn(1, 0.4, unscored=0.03), drawn(2, 0.6, unscored=0.03)),
        (drawn(1, 0.4), drawn(1, 0.4)),
        ({"en": "1" * 40}, {"en": "1" * 40}),
        ({"en": "1" * 39 + "-"}, {"en": "0" + "1" * 39}),
        ({"en": "1" * 40}, {"en": "0" + "1" * 39}),
    ],
    ids=["different", "unscored", "the same", "all safe", "equal where both are judged", "one prompt"],
)
def test_compare_the_leaderboard_and_a_report_agree(first, second, tmp_path):
    base, tuned = pair(first, second)
    change = compare.compare([base, tuned])[0].tasks[0].statistics["average"]
    gain = cell(task_table(board(tmp_path, base, tuned)), "m-dpo-s1", "gain")
    assert (gain.value, gain.low, gain.high) == pytest.approx((change.difference, change.low, change.high))
    arms = effects.arms([base, tuned], {})
    found = effects.effect(arms["m", "dpo"], arms["m", "base"], "harm", tuple(first))
    assert (found.value, found.low, found.high) == pytest.approx((change.difference, change.low, change.high))
    if len(first) == 1:  # of one language it is that of its row, too
        row = compare.compare([base, tuned])[0].tasks[0].languages["en"]
        assert (row.difference, row.low, row.high) == (change.difference, change.low, change.high)


def test_no_difference_has_the_interval_of_so_many_prompts():
    """Forty equal verdicts: 1.95996 * sqrt(2) / 42 = 0.065995, and never a width of nothing."""
    equal = np.ones((1, 40, 2))
    found = bootstrap.paired_differences(equal, equal)
    assert (found.low[0], found.high[0]) == pytest.approx((-0.065995, 0.065995), abs=1e-6)
    assert (found.low[0], found.high[0]) == pytest.approx(significance.paired_interval(0, 0, 40))
    assert not found.differ[0]


def test_prompts_are_drawn_with_their_languages():
    """Two languages that always go together are no more evidence than one of them."""
    generator = np.random.default_rng(0)
    first, second = (generator.random((1, 100, 1)) < rate for rate in (0.3, 0.5))
    alone = bootstrap.paired_differences(first, second)
    twice = bootstrap.paired_differences(np.repeat(first, 2, axis=2), np.repeat(second, 2, axis=2))
    assert (twice.low[0], twice.high[0]) == pytest.approx((alone.low[0], alone.high[0]))


def test_several_pairs_at_once_are_as_each_alone():
    generator = np.random.default_rng(1)
    matrices = (generator.random((4, 50, 3)) < 0.5).astype(float)
    matrices[3, :7, 0] = np.nan
    found = bootstrap.paired_differences(matrices[:2], matrices[2:])
    for place in range(2):
        one = bootstrap.paired_differences(matrices[[place]], matrices[[place + 2]])
        for name in ("first", "second", "value", "low", "high", "n"):
            assert getattr(found, name)[place] == pytest.approx(getattr(one, name)[0])


@pytest.mark.parametrize("prompts", [0, 1])
def test_fewer_than_two_prompts_say_nothing(prompts):
    found = bootstrap.paired_differences(np.zeros((1, prompts, 1)), np.ones((1, prompts, 1)))
    assert np.isnan([found.low[0], found.high[0]]).all()
    assert found.n[0] == prompts
