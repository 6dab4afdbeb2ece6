"""How selectivity changed between two runs: what refusing more of everything does not raise."""

import json

import pytest
from helpers import command
from made_up_arms import APART, PAIR, arms, run

from mlc_bench.core.errors import UsageError
from mlc_bench.leaderboard.report import effects
from mlc_bench.records.comparing import compare, gate, table


def changes(first, second):
    (found,) = compare.compare([first, second])
    return {one.harmful_task: one for one in found.selectivity}


def test_refusing_more_of_both_is_no_rise_and_refusing_more_of_the_harmful_is():
    base = run("base", 0.3, 0.3)
    more = changes(base, run("more", 0.9, 0.9))[PAIR.harmful]
    assert (more.mean.first, more.mean.second, more.mean.difference) == pytest.approx((0, 0, 0))
    assert more.reading.startswith("The change of selectivity cannot be told from noise: +0.0 points")
    rises = changes(base, run("rises", 0.9, 0.3))[PAIR.harmful]
    assert rises.mean.difference == pytest.approx(0.6)
    assert rises.mean.low > 0.4
    assert rises.reading.startswith("Selectivity rises by more than noise: +60.0 points [")
    assert rises.reading.endswith("over en sw ps ar, p < 0.001.")
    falls = changes(base, run("falls", 0.3, 0.9))[PAIR.harmful]
    assert falls.reading.startswith("Selectivity falls by more than noise: -60.0 points [")


@pytest.mark.parametrize("pair", [PAIR, APART])
def test_its_interval_is_that_of_the_report(pair):
    """Partners drawn together in the one, independent prompts apart in the other."""
    first, second = run("base", 0.4, 0.2), run("m-dpo-s1", 0.7, 0.3)
    found = changes(first, second)[pair.harmful].mean
    known = arms(first, second)
    codes = ["en", "sw", "ps", "ar"]
    expected = effects.selectivity_effect(known["m", "dpo"], known["m", "base"], pair, codes)
    assert (found.difference, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_equal_runs_are_not_certain_to_be_equal():
    found = changes(run("base"), run("same"))[PAIR.harmful].mean
    assert found.difference == 0
    assert found.low < -0.05 < 0.05 < found.high


def test_a_language_that_one_of_them_does_not_answer_is_in_no_mean():
    found = compare.compare(
        [run("base", 0.9), run("silent", {"en": 0.9, "sw": 0.9, "ps": 0.5, "ar": 0.9}, invalid="i")]
    )
    change = found[0].selectivity[0]
    assert change.mean_of == ["en", "sw", "ar"]
    printed = table.text(found[0], 120)
    first = printed.split("starter_harmful, refusal")[0]
    assert "starter_harmful against starter_benign, selectivity points" in first, "before the tables of the tasks"
    assert "ps† !" in first
    assert "mean, n 40" in first


def test_without_harmless_prompts_there_is_none():
    assert list(changes(run("base"), run("other"))) == [PAIR.harmful, APART.harmful]
    (found,) = compare.compare([run("base"), run("other")], tasks=["starter_harmful", "pku"])
    assert found.selectivity == []


def test_a_release_is_stopped_by_it(tmp_path):
    paths = []
    for one in (run("base", 0.9, 0.1), run("worse", 0.9, 0.8)):
        paths.append(tmp_path / one.model.name / "run.json")
        paths[-1].parent.mkdir()
        paths[-1].write_text(one.model_dump_json())
    arguments = ["compare", *paths, "--tasks", "starter_harmful,starter_benign", "--fail-if"]
    done = command(*arguments, "selectivity < -20")
    assert done.returncode == 5
    assert "--fail-if 'selectivity < -20' holds: starter_harmful average of worse -70.0 [" in done.stdout
    done = command(*arguments, "selectivity[sw] > 0", "--json")
    assert done.returncode == 0
    (found,) = json.loads(done.stdout)
    assert found["selectivity"][0]["languages"]["sw"]["difference"] == pytest.approx(-0.7)
    (check,) = found["conditions"]
    assert (check["task"], check["language"], check["holds"]) == ("starter_harmful", "sw", False)
    with pytest.raises(UsageError, match=r"unknown language 'xx' .* both runs have en, sw, ps, ar"):
        gate.apply([gate.parse("selectivity[xx] < 0")], compare.compare([run("base"), run("other")]))
