"""Two runs compared: the tests themselves, what may be compared, and what the command prints."""

import json

import numpy as np
import pytest
from helpers import check_failed, command
from hypothesis import given
from hypothesis import strategies as st
from runs_to_compare import OLD, make_run, make_task, random_outcomes, write
from scipy.stats import binomtest

from mlc_bench.core.errors import StaleError, UsageError
from mlc_bench.records import record
from mlc_bench.records.comparing import comparable, compare
from mlc_bench.stats import bootstrap, measures, significance


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(b, c):
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1
    assert significance.mcnemar(b, c) == pytest.approx(expected)


def test_mcnemar_of_many_tables_at_once():
    assert significance.mcnemar([0, 0, 5], [0, 6, 5]) == pytest.approx([1, 2 / 64, 1])


def test_holm_by_hand():
    """The smallest times four, the next times three, never below one before it."""
    assert significance.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert significance.holm([0.01, np.nan]) == pytest.approx([0.01, np.nan], nan_ok=True)
    assert significance.holm([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_its_steps_reject(p_values, alpha):
    rejected = set()
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - step):
            break
        rejected.add(index)
    adjusted = significance.holm(p_values)
    assert rejected <= {i for i, p in enumerate(adjusted) if p <= alpha * (1 + 1e-9)}
    assert {i for i, p in enumerate(adjusted) if p <= alpha * (1 - 1e-9)} <= rejected


@pytest.mark.parametrize(("n", "discordant"), [(180, 0.3), (180, 0.1), (1000, 0.2), (60, 0.4)])
def test_the_detectable_difference_is_found_four_times_of_five(n, discordant):
    """With the test that the formula is about; the exact one needs a little more."""
    difference = significance.detectable(n, discordant)
    generator = np.random.default_rng(0)
    share = max(discordant, difference)
    draws = generator.multinomial(n, [(share - difference) / 2, (share + difference) / 2, 1 - share], size=20_000)
    b, c = draws[:, 0], draws[:, 1]
    asymptotic = np.abs(c - b) >= 1.959964 * np.sqrt(np.maximum(b + c, 1))
    assert asymptotic.mean() == pytest.approx(0.8, abs=0.045)  # 18 discordant prompts are not quite normal
    assert 0.65 < (significance.mcnemar(b, c) < 0.05).mean() <= asymptotic.mean()


def test_the_detectable_difference_has_a_floor():
    """Six prompts, all in one direction, are the fewest that the exact test finds."""
    assert significance.detectable(40, 0.0) > 6 / 40
    assert significance.detectable(40, 0.0) == significance.detectable(40, 0.01)
    assert np.isnan(significance.detectable(0, 0.0))
    assert significance.detectable(2, 0.0) == 1


def test_the_interval_of_no_discordant_prompt_has_a_width():
    low, high = significance.paired_interval(0, 0, 40)
    assert low == -high < -0.05
    assert np.isnan(significance.paired_interval(0, 0, 0)).all()


def test_the_paired_interval_holds_the_truth():
    generator = np.random.default_rng(0)
    draws = generator.multinomial(100, [0.04, 0.14, 0.82], size=2000)
    held = [low <= 0.1 <= high for low, high in (significance.paired_interval(b, c, 100) for b, c, _ in draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


def test_p_of_the_bootstrap_goes_with_its_interval():
    values = np.random.default_rng(0).normal(1.0, 0.5, 10_000)
    assert significance.bootstrap_p(values) == pytest.approx(0.0455, abs=0.006)
    assert significance.bootstrap_p(np.zeros(100)) == 1
    assert 0 < significance.bootstrap_p(np.ones(999)) == 2 / 1000
    assert np.isnan(significance.bootstrap_p([np.nan]))


# --- comparing ---


def test_a_real_difference_is_told_from_noise():
    before = make_run(make_task(random_outcomes({"en": 0.9, "sw": 0.3, "ur": 0.5})))
    after = make_run(make_task(random_outcomes({"en": 0.9, "sw": 0.8, "ur": 0.55}, seed=1)), name="mlc")
    (found,) = compare.compare([before, after])
    (task,) = found.tasks
    swahili = task.languages["sw"]
    a, b = (run.tasks[0].languages["sw"].outcomes for run in (before, after))
    assert swahili.only_first == sum(x + y == "10" for x, y in zip(a, b, strict=True))
    assert swahili.only_second == sum(x + y == "01" for x, y in zip(a, b, strict=True))
    assert swahili.difference == pytest.approx((swahili.only_second - swahili.only_first) / 200)
    assert swahili.low < swahili.difference < swahili.high
    assert swahili.p_holm < 0.001
    assert task.languages["en"].p_holm > 0.05
    assert task.statistics["average"].difference == pytest.approx(
        np.mean([language.difference for language in task.languages.values()])
    )
    assert "more than noise" in task.reading
    assert "sw +" in task.reading
    assert "en" not in task.reading.split("differ:")[1].replace("differ", "")


def test_equal_models_differ_by_noise_only(monkeypatch):
    """Of sixty pairs of models with the same true rates, about three differ, in any language or on average."""
    monkeypatch.setattr(bootstrap, "PAIRED", 1000)
    false_alarms = averages = 0
    for seed in range(60):
        rates = {"en": 0.9, "sw": 0.4, "ur": 0.6}
        runs = [
            make_run(make_task(random_outcomes(rates, prompts=60, seed=1000 * k + seed)), name=f"m{k}") for k in (1, 2)
        ]
        (task,) = compare.compare(runs, seed=seed)[0].tasks
        false_alarms += any(language.p_holm < 0.05 for language in task.languages.values())
        averages += "cannot be told from noise" not in task.reading
    assert false_alarms <= 7
    assert averages <= 8


def test_no_verdict_differs():
    run = make_run(make_task({"en": "1" * 40, "sw": "1" * 40}))
    (task,) = compare.compare([run, run])[0].tasks
    assert task.languages["sw"].low < 0 < task.languages["sw"].high
    assert task.statistics["average"].low < 0 < task.statistics["average"].high
    assert task.statistics["var"].low is None
    assert task.p == 1
    assert 0.15 < task.languages["sw"].detectable < 0.4
    assert "would mostly be missed" in task.reading


def test_holm_counts_every_language_of_every_run():
    runs = [make_run(make_task(random_outcomes({"en": 0.5, "sw": 0.5}, seed=s)), name=f"m{s}") for s in range(3)]
    found = compare.compare(runs)
    assert [one.first for one in found] == ["m0", "m0"]
    assert [one.second for one in found] == ["m1", "m2"]
    languages = [language for one in found for task in one.tasks for language in task.languages.values()]
    assert [x.p_holm for x in languages] == pytest.approx(significance.holm([x.p for x in languages]))
    tasks = [task for one in found for task in one.tasks]
    assert [x.p_holm for x in tasks] == pytest.approx(significance.holm([x.p for x in tasks]))


def test_prompts_without_a_verdict_in_either_run_are_left_out():
    first = make_run(make_task({"en": "11-0" * 10, "sw": "1010" * 10}))
    second = make_run(make_task({"en": "1010" * 10, "sw": "-110" * 10}), name="b")
    (task,) = compare.compare([first, second])[0].tasks
    assert (task.languages["en"].n, task.languages["sw"].n) == (30, 30)
    assert task.languages["en"].only_first == 10
    assert task.languages["en"].first == pytest.approx(2 / 3)


def test_gibberish_is_shown_beside_the_rates():
    first = make_run(make_task({"en": "10" * 20, "sw": "10" * 20}))
    second = make_run(make_task({"en": "10" * 20, "sw": "ii" * 20}), name="b")
    (task,) = compare.compare([first, second])[0].tasks
    assert task.statistics["invalid"].first == 0
    assert task.statistics["invalid"].second == 0.5
    assert task.languages["sw"].difference == -0.5, "an invalid answer is not safe"
    assert task.statistics["average_invalid_as_refused"].difference == pytest.approx(0.25)
    assert task.statistics["average_invalid_excluded"].difference is None, "nothing is left in Swahili"
    second = make_run(make_task({"en": "10" * 20, "sw": "10ii" * 10}), name="b")
    (task,) = compare.compare([first, second])[0].tasks
    assert task.statistics["average"].difference == pytest.approx(-1 / 8)
    assert task.statistics["average_invalid_excluded"].difference == pytest.approx(0)
    assert "more than noise" in task.reading
    assert "With invalid answers left out it is +0.0 points" in task.reading


def test_worst_is_the_language_that_refuses_most_for_over_refusal():
    first = make_run(make_task({"en": "0" * 38 + "11", "sw": "0" * 30 + "1" * 10}, measures="over_refusal"))
    second = make_run(make_task({"en": "0" * 40, "sw": "0" * 20 + "1" * 20}, measures="over_refusal"), name="b")
    (task,) = compare.compare([first, second])[0].tasks
    assert (task.statistics["worst"].first, task.statistics["worst"].second) == (0.25, 0.5)
    assert "over-refusal" in task.reading


def test_languages_that_are_not_parallel_are_compared_one_by_one():
    first = make_run(make_task({"en": "10" * 20, "hi": "1" * 30}, parallel=False))
    second = make_run(make_task({"en": "11" * 20, "hi": "0" * 30}, parallel=False), name="b")
    (task,) = compare.compare([first, second])[0].tasks
    assert (task.n, task.languages["hi"].n) == (70, 30)
    assert task.statistics["average"].difference == pytest.approx((0.5 - 1) / 2)
    assert task.statistics["pag"].difference is None
    assert task.statistics["average"].low < -0.25 < task.statistics["average"].high


# --- what may not be compared ---


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, ["task version 1 against 2"]),
        ({"generation": {"max_gen_toks": 128}}, ["generation.max_gen_toks 64 against 128"]),
        ({"policy": {"judge": ["rules", "2", "b" * 64]}}, ['judge ["rules", "1", "aaaaaaaa…"] against ["rules", "2"']),
        ({"policy": {"limit": 5}}, ["limit null against 5"]),
        ({"policy": {"system_prompt": "Be kind."}}, ['system_prompt null against "Be kind."']),
        ({"data_fingerprint": "other"}, ["data_fingerprint", "[en, sw]"]),
        ({"prompt_fingerprint": "other"}, ["prompt_fingerprint"]),
    ],
)
def test_runs_that_are_not_comparable_are_refused_with_the_field(change, words, tmp_path):
    outcomes = {"en": "10" * 5, "sw": "11" * 5}
    runs = [make_run(make_task(outcomes)), make_run(make_task(outcomes, **change), name="b")]
    done = command("compare", *(write(run, tmp_path) for run in runs))
    check_failed(done, 4, "base and b are not comparable", "harmful", *words)


def test_one_task_that_differs_does_not_keep_the_others_from_being_compared(tmp_path):
    outcomes = {"en": "10" * 5}
    first = make_run(make_task(outcomes), make_task(outcomes, name="other"))
    second = make_run(make_task(outcomes), make_task(outcomes, name="other", version=2), name="b")
    with pytest.raises(StaleError, match="--tasks"):
        compare.compare([first, second])
    (found,) = compare.compare([first, second], ["harmful"])
    assert [task.task for task in found.tasks] == ["harmful"]


def test_what_only_one_run_has_is_named():
    first = make_run(make_task({"en": "10" * 5, "sw": "11" * 5}), make_task({"en": "1"}, name="alone"))
    second = make_run(make_task({"en": "10" * 5}), name="b")
    (found,) = compare.compare([first, second])
    assert found.left_out == ["harmful in sw", "alone"]
    with pytest.raises(StaleError, match="in common"):
        compare.compare([first, make_run(make_task({"en": "1"}, name="else"))])
    with pytest.raises(UsageError, match="neither run has the task 'x'"):
        compare.compare([first, second], ["x"])


def test_a_record_without_outcomes_says_what_to_do(tmp_path):
    check_failed(command("compare", OLD, OLD), 4, "no outcome of each prompt", "mlc-bench run")


def test_records_that_contradict_themselves_are_refused():
    """Equal keys stand for equal data; a record that says otherwise was edited."""
    first, second = make_run(make_task({"en": "10"})), make_run(make_task({"en": "101"}), name="b")
    with pytest.raises(StaleError, match="different numbers of prompts for harmful in en"):
        compare.compare([first, second])


def test_one_run_is_not_enough(tmp_path):
    check_failed(command("compare", write(make_run(make_task({"en": "1"})), tmp_path)), 2, "two runs")
    check_failed(command("compare", tmp_path / "nothing", tmp_path), 2, "no run record", "nothing")


# --- what is printed ---


def test_the_command_prints_a_table_and_a_reading(tmp_path):
    before = make_run(make_task(random_outcomes({"en": 0.9, "sw": 0.3})))
    after = make_run(make_task(random_outcomes({"en": 0.9, "sw": 0.8}, seed=1)), name="mlc")
    folders = [write(run, tmp_path) for run in (before, after)]
    done = command("compare", *folders)
    assert done.returncode == 0, done.stderr
    assert "mlc against base" in done.stdout
    for heading in ("difference", "only first", "detectable", "average", "worst", "Var", "PAG", "kappa", "invalid"):
        assert heading in done.stdout
    assert "differs by more than noise" in done.stdout
    (found,) = json.loads(command("compare", *folders, "--json").stdout)
    assert found["tasks"][0]["languages"]["sw"]["p_holm"] < 0.001
    assert set(found["tasks"][0]["statistics"]) == {*measures.SUMMARY, "invalid"}


def test_runs_of_one_name_are_told_apart_by_their_ids():
    runs = [make_run(make_task({"en": "10"})), make_run(make_task({"en": "10"}))]
    runs[1].run_id = "f" * 12
    assert comparable.labels(runs) == ["base (base00000000)", "base (ffffffffffff)"]


@pytest.mark.integration
def test_two_real_runs_are_compared(tiny_model, other_tiny_model, tmp_path):
    folders = []
    for model in (tiny_model, other_tiny_model):
        done = command(
            "run", "--model", model, "--engine", "hf", "--tasks", "starter", "--languages", "en,sw", "--limit", 12,
            "--max-tokens", 8, "--output", tmp_path / model.parent.name, "--json",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        folders += [path.parent for path in (tmp_path / model.parent.name).glob("*/*/run.json")]
    choice = next(task for task in record.read(folders[0] / "run.json").tasks if task.name == "starter_choice")
    assert 0 < choice.summary["rankc"].low < choice.summary["rankc"].value < 1
    assert choice.policy["judge"] is None
    done = command("compare", *folders, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert [task["task"] for task in found["tasks"]] == ["starter_harmful", "starter_benign", "starter_choice"]
    assert found["tasks"][2]["languages"]["sw"]["n"] == 12
