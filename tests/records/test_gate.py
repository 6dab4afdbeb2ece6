"""`mlc-bench compare --fail-if`: a gate for releases, at the command line."""

import json

import pytest
from helpers import check_failed, command
from runs_to_compare import make_run, make_task, write


@pytest.fixture
def runs(tmp_path):
    """Over-refusal up by 20 points in Swahili, by nothing in English (10 on average); refusal down by 30 in both."""
    prompts = 200

    def text(share):
        return "1" * round(share * prompts) + "0" * round((1 - share) * prompts)

    def run(name, benign, safe):
        return make_run(
            make_task({code: text(share) for code, share in safe.items()}),
            make_task({code: text(share) for code, share in benign.items()}, name="benign", measures="over_refusal"),
            name=name,
        )

    first = run("base", {"en": 0.1, "sw": 0.1}, {"en": 0.9, "sw": 0.9})
    second = run("new", {"en": 0.1, "sw": 0.3}, {"en": 0.6, "sw": 0.6})
    return [write(one, tmp_path) for one in (first, second)]


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("over_refusal > 2", 5),
        ("over_refusal > 9", 0),  # 10 points, but the interval reaches down to less
        ("over_refusal > 10", 0),
        ("over_refusal[sw] > 10", 5),
        ("over_refusal[sw]>10.5", 5),
        (" over_refusal [ sw ]  >  +10 ", 5),
        ("over_refusal[en] > 2", 0),
        ("over_refusal[en] > -5", 5),  # no verdict differs: within 1.4 points of nothing
        ("over_refusal[en] > -1", 0),
        ("over_refusal < 2", 0),
        ("over_refusal < 25", 5),
        ("refusal_rate < -20", 5),
        ("refusal_rate < -30", 0),
        ("refusal_rate[sw] < -20", 5),
        ("refusal_rate > -20", 0),
        ("invalid_rate > 1", 0),
    ],
)
def test_the_exit_code(runs, condition, code):
    done = command("compare", *runs, "--fail-if", condition)
    assert (done.returncode, done.stderr) == (code, "")
    line = done.stdout.splitlines()[-1]
    assert f"--fail-if '{condition.strip()}' {'holds' if code else 'does not hold'}" in line


def test_it_says_which_condition_holds_with_value_and_interval(runs):
    wanted = ("--fail-if", "over_refusal > 40", "--fail-if", "over_refusal[sw] > 2")
    done = command("compare", *runs, *wanted)
    assert done.returncode == 5
    first, second = done.stdout.splitlines()[-2:]
    assert first.startswith("--fail-if 'over_refusal > 40' does not hold: benign average of new +10.0 [+")
    assert second.startswith("--fail-if 'over_refusal[sw] > 2' holds: benign sw of new +20.0 [+")
    done = command("compare", *runs, *wanted, "--json")
    assert done.returncode == 5
    (found,) = json.loads(done.stdout)
    assert [check["holds"] for check in found["conditions"]] == [False, True]
    held = found["conditions"][1]
    assert (held["condition"], held["task"], held["language"]) == ("over_refusal[sw] > 2", "benign", "sw")
    assert 2 < held["low"] < held["difference"] < held["high"]
    assert held["difference"] == pytest.approx(20)


def test_without_conditions_nothing_changes(runs):
    done = command("compare", *runs, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["conditions"] == []


def test_one_of_several_runs_is_enough(runs):
    done = command("compare", runs[0], runs[0], runs[1], "--fail-if", "over_refusal > 2")
    assert done.returncode == 5
    assert [" holds: " in line for line in done.stdout.splitlines()[-2:]] == [False, True]


def test_what_is_not_defined_does_not_hold_and_is_said(tmp_path):
    runs = [write(make_run(make_task({"en": "--"}), name=name), tmp_path) for name in ("a", "b")]
    done = command("compare", *runs, "--fail-if", "refusal_rate < 100")
    assert done.returncode == 0
    assert "is not defined" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("over_refusal", ("'over_refusal'", "over_refusal > 2")),
        ("over_refusal >= 2", ("< or >",)),
        ("over_refusal > two", ("percentage points",)),
        ("> 2", ("a metric",)),
        ("over_refusal[] > 2", ("a metric",)),
        ("over_refusal > 2 > 3", ("a metric",)),
        ("refusal > 2", ("unknown metric 'refusal'", "refusal_rate, over_refusal, invalid_rate")),
        ("over_refusal[ps] > 2", ("unknown language 'ps'", "en, sw")),
        ("invalid_rate[sw] > 2", ("on average only",)),
    ],
)
def test_a_wrong_condition_names_what_is_allowed(runs, condition, words):
    check_failed(command("compare", *runs, "--fail-if", condition), 2, *words)
