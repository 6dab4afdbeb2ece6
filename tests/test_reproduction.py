"""The reproduction: claims called by their rules on made-up records, the report, and the whole on a tiny model."""

import subprocess
import sys

import numpy as np
import pytest
import records
import yaml

from mlc_bench import record, stats
from mlc_bench.baselines import reproduce
from mlc_bench.leaderboard import claims, report

TRAINED = ("en", "sw", "ps")
TASKS = (
    ("starter_harmful", "safety", "starter_benign"), ("starter_benign", "over_refusal", None),
    ("starter_choice", "utility", None),
)  # fmt: skip
ROLES = claims.Tasks("starter_harmful", "starter_harmful", TASKS[0][::2], "starter_choice", TRAINED)
PAIRS = {"dpo+mlc": "dpo"}


def run(name, harmful=0.5, benign=0.1, choice=0.5, n=40, languages=("en", "sw", "ps", "ar"), invalid="", **options):
    """A record whose rates are exactly those given, the same prompts first; `invalid`: that character for a failure."""

    def text(rate, fail="0"):
        return "1" * round(rate * n) + (invalid or fail) * (n - round(rate * n))

    def per(rate):
        return rate if isinstance(rate, dict) else dict.fromkeys(languages, rate)

    strings = {
        "starter_harmful": {code: text(rate) for code, rate in per(harmful).items()},
        "starter_benign": {code: text(rate).replace("i", "0") for code, rate in per(benign).items()},
        "starter_choice": {code: text(rate).replace("i", "0") for code, rate in per(choice).items()},
    }
    return records.make(name, tasks=TASKS, strings=strings, **options)


def called(*runs):
    arms = claims.arms(runs, {"base": ("m", "base")})
    return {one.number: one for one in claims.call_all(arms, ROLES, PAIRS)}


def test_a_clear_gain_is_reproduced_and_no_gain_is_not():
    found = called(run("m-dpo-s1", {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}), run("m-dpo+mlc-s1", 0.9))
    assert {number: found[number].call for number in (1, 2, 3, 4, 8)} == dict.fromkeys((1, 2, 3, 4, 8), "reproduced")
    assert found[1].effect.value == pytest.approx(0.7 * 2 / 3)
    assert found[1].effect.low < found[1].effect.value < found[1].effect.high
    assert found[4].languages == ("ar",)
    same = called(run("m-dpo-s1"), run("m-dpo+mlc-s1"))
    assert {number: same[number].call for number in (1, 2, 3, 4)} == dict.fromkeys((1, 2, 3, 4), "not reproduced")
    assert same[5].call == "reproduced"  # utility moves by nothing


def test_refusing_everything_is_seen_by_the_questions_on_over_refusal():
    found = called(run("m-dpo-s1", 0.2, benign=0.2), run("m-dpo+mlc-s1", 0.9, benign=0.9))
    assert found[1].call == "reproduced"
    assert found[9].call == "reproduced"  # over-refusal rises
    assert found[10].call == "not reproduced"  # by as much as safety: no more than readiness to refuse
    told_apart = called(run("m-dpo-s1", 0.2, benign=0.1), run("m-dpo+mlc-s1", 0.9, benign=0.1))
    assert (told_apart[9].call, told_apart[10].call) == ("not reproduced", "reproduced")


def test_a_gain_that_hangs_on_invalid_answers_is_undecided():
    # Without MLC all failures are invalid: left out, nothing is gained.
    found = called(run("m-dpo-s1", 0.5, invalid="i"), run("m-dpo+mlc-s1", 1.0))
    assert found[1].call == "undecided"
    assert "invalid" in found[1].note


def test_a_higher_pag_by_losing_safety_is_no_success():
    found = called(run("m-dpo-s1", {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}), run("m-dpo+mlc-s1", 0.0))
    assert found[3].effect.low > 0
    assert found[3].call == "undecided"


def test_seeds_widen_the_interval():
    several = [run(f"m-dpo+mlc-s{seed}", rate) for seed, rate in ((1, 0.5), (2, 0.7), (3, 0.9))]
    one = called(run("m-dpo-s1", 0.4), run("m-dpo+mlc-s1", 0.7))[1].effect
    many = called(run("m-dpo-s1", 0.4), *several)[1].effect
    assert many.value == pytest.approx(one.value)
    assert many.high - many.low > 1.3 * (one.high - one.low)
    assert many.seeds == (3, 1)


def test_what_was_not_run_or_differs_is_not_called():
    assert called(run("m-dpo-s1"))[1].call == "not run"
    other = run("m-dpo+mlc-s1", system_prompt="be kind")  # another comparability key
    assert called(run("m-dpo-s1"), other)[1].call == "not run"
    assert called(run("m-dpo-s1"), run("m-dpo+mlc-s1"))[6].call == "not run"  # no MPO


def test_net_effect_draws_twins_together():
    """A prompt on which a model refuses both twins adds nothing, in every resample: the interval has no width."""
    first, second = (
        claims.Arm("m", "a", {1: run("m-a-s1", 0.5, benign=0.5)}),
        claims.Arm("m", "b", {1: run("m-b-s1", 0.25, benign=0.25)}),
    )
    found = claims.net_effect(first, second, "starter_harmful", "starter_benign", ["en", "sw"])
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_jobs_of_the_protocol():
    plan = reproduce.read("full")
    names = [job.name for job in plan.jobs]
    assert len(set(names)) == len(names)
    seeds = {(job.model, job.method): 0 for job in plan.jobs}
    for job in plan.jobs:
        seeds[job.model, job.method] += 1
    for method in ("dpo", "dpo+mlc", "cosine", "mpo"):
        assert seeds["smollm2", method] == seeds["gemma", method] == 3
    made = set(names) | {"demo", "demo-gemma"}
    assert all(job.start in made for job in plan.jobs)
    assert all(job.method in plan.protocol["methods"] or "." in job.method for job in plan.jobs)


def test_training_files_of_ablations(tmp_path):
    plan = reproduce.read("full")
    work = reproduce.Reproduction(plan, tmp_path, None, "hf", keep=False)
    by_method = {job.method: job for job in plan.jobs if job.model == "smollm2"}

    def rows(method):
        import json

        return [json.loads(line) for line in work._training_file(by_method[method]).read_text().splitlines()]

    whole, fewer, noisy = rows("dpo+mlc"), rows("dpo+mlc.languages-5"), rows("dpo+mlc.noise-30")
    assert list(whole[0]["prompts"]) == plan.protocol["trained_languages"]
    assert len(fewer[0]["prompts"]) == 5
    pairs = [
        (a["prompts"][code], b["prompts"][code]) for a, b in zip(whole, noisy, strict=True) for code in a["prompts"]
    ]
    assert 0.2 < np.mean([a != b for a, b in pairs]) < 0.35
    assert all(a["prompts"]["en"] == b["prompts"]["en"] for a, b in zip(whole, noisy, strict=True))


def test_the_report_says_what_is_there_and_what_is_missing(tmp_path):
    protocol = reproduce.read("quick").protocol
    folder = tmp_path / "records"
    base = records.make("SmolLM2-135M-Instruct", tasks=TASKS)
    manifest = {"method": "dpo", "steps": 10, "tokens": 1000, "seconds": 5.5, "peak_memory_bytes": 2**30}
    low = {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}
    records.save(folder, base, run("smollm2-dpo-s1", low, training=manifest), run("smollm2-dpo+mlc-s1", 0.9))
    page = report.write(folder, protocol, "quick", tmp_path / "out", {"smollm2-mpo-s1": "no data <b>"})
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "pku was not run here" in text
    assert "**reproduced**" in text
    assert "smollm2-mpo-s1 is missing: no data &lt;b&gt;" in text.replace("\\-", "-")
    (line,) = [line for line in text.splitlines() if line.startswith("| smollm2 | dpo | 10 |")]
    assert line.replace("\\", "") == "| smollm2 | dpo | 10 | 1000 | 6 | 1.00 |"
    assert "<table>" in page.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "leaderboard" / "README.md").is_file()
    assert (tmp_path / "out" / "frontier-smollm2.svg").is_file()
    first = text
    report.write(folder, protocol, "quick", tmp_path / "out", {"smollm2-mpo-s1": "no data <b>"})
    assert (tmp_path / "out" / "report.md").read_text(encoding="utf-8") == first
    # The averages of the table are those of the outcomes.
    arm = claims.arms([record.read(path) for path in folder.rglob("run.json")], {})["smollm2", "dpo"]
    assert report.average(arm, "starter_harmful", ["en", "sw"]) == pytest.approx(0.55)
    assert stats.average(np.array([[1.0, 0.0]])) == 0.5


@pytest.mark.integration
def test_the_whole_through_the_public_commands_and_again(tmp_path, tiny_model):
    """Trains and scores a tiny model by a small protocol; a second call finds everything done."""
    protocol = {
        "version": 1, "trained_languages": ["en", "sw"],
        "models": {"tiny": {"start": str(tiny_model), "name": "tiny"}},
        "train": {"cutoff": 1024, "batch_size": 2, "accumulation": 1, "max_steps": 2, "learning_rate": 1.0e-3},
        "methods": {"base": {}, "dpo": {"train": "dpo"},
                    "dpo+mlc": {"train": "dpo", "counterpart": "dpo", "settings": {"mlc": {}}},
                    "mpo": {"train": "mpo", "data": "absent.json"}},
        "ablations": {},
        "forms": {
            "full": {"models": ["tiny"], "methods": "all", "ablations": [], "seeds": {"others": [1]}, "max_tokens": 8,
                     "tasks": ["starter_harmful", "starter_benign", "starter_choice"], "languages": ["en", "sw"]},
        },
        "engine_args": {"hf": ["batch_size=40"]},
    }  # fmt: skip
    file = tmp_path / "protocol.yaml"
    file.write_text(yaml.safe_dump(protocol))
    command = [sys.executable, "-m", "mlc_bench.baselines.reproduce", "--protocol", file, "--engine", "hf"]
    command += ["--records", tmp_path / "records", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stderr  # MPO's data is not there
    assert "absent.json" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    kept = sorted((tmp_path / "records").rglob("run-*.json"))
    assert len(kept) == 3
    trained = next(path for path in kept if "mlc" in str(path))
    assert record.read(trained).model.training["method"] == "dpo+mlc"
    again = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert "3 of them are finished" in again.stderr
    assert sorted((tmp_path / "records").rglob("run-*.json")) == kept
