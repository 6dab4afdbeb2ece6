"""The reproduction: claims called by their rules on made-up records, the report, and the whole on a tiny model."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import records
import yaml
from conftest import ROOT

from mlc_bench import errors, record, stats
from mlc_bench.baselines import data as training_data
from mlc_bench.baselines import methods, reproduce
from mlc_bench.leaderboard import claims, render_markdown, report, report_tables

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
    monkeypatch.setattr(claims, "RESAMPLES", 400)
    generator = np.random.default_rng(0)

    def arm(method, prompts):
        seeds = {}
        for seed in (1, 2, 3):
            level = prompts[:, None] + 0.8 * generator.normal() + np.array([0.3, -0.3])
            hits = generator.random(level.shape) < 1 / (1 + np.exp(-level))
            strings = {
                code: "".join("01"[int(hit)] for hit in hits[:, place]) for place, code in enumerate(("en", "sw"))
            }
            found = records.task_result("starter_harmful", "safety", None, strings)
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


def test_a_model_that_is_not_installed_is_said_before_anything_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce.demo, "is_installed", lambda which: which == "demo")
    plan = reproduce.read("full")
    work = reproduce.Reproduction(plan, tmp_path, None, "hf", keep=False)
    by_name = {job.name: job for job in plan.jobs}
    assert work.missing(by_name["smollm2-dpo-s1"]) == ""
    assert "make demo-gemma" in work.missing(by_name["gemma-base-s1"])
    work.failed["gemma-base-s1"] = "why"
    assert work.missing(by_name["gemma-dpo-s1"]) == "gemma-base-s1 was not made"


def test_training_files_are_in_the_trained_languages_and_as_an_ablation_asks(tmp_path):
    plan = reproduce.read("full")
    work = reproduce.Reproduction(plan, tmp_path, None, "hf", keep=False)
    by_method = {job.method: job for job in plan.jobs if job.model == "smollm2"}

    def rows(method):
        return [json.loads(line) for line in work._training_file(by_method[method]).read_text().splitlines()]

    whole, fewer, noisy = rows("dpo+mlc"), rows("dpo+mlc.languages-half"), rows("dpo+mlc.noise-30")
    assert list(whole[0]["prompts"]) == plan.protocol["trained_languages"]
    assert len(fewer[0]["prompts"]) == 5
    pairs = [
        (a["prompts"][code], b["prompts"][code]) for a, b in zip(whole, noisy, strict=True) for code in a["prompts"]
    ]
    assert 0.2 < np.mean([a != b for a, b in pairs]) < 0.35
    assert all(a["prompts"]["en"] == b["prompts"]["en"] for a, b in zip(whole, noisy, strict=True))
    assert all(row["responses"] is None for row in whole)
    assert all(["en", *row["responses"]] == plan.protocol["trained_languages"] for row in rows("mpo"))


@pytest.mark.parametrize("form", ["full", "core"])
def test_methods_take_as_many_steps_whether_they_learn_from_other_languages_or_not(form):
    """`with_responses` says the steps; the others take `epochs` over the embedded rows."""
    jobs = [job for job in reproduce.read(form).jobs if job.train and job.method != "base"]
    rows = len(training_data.load(["embedded"]).rows)
    steps = {
        job.settings.get("max_steps")
        or job.settings["epochs"] * rows / job.settings["batch_size"] / job.settings["accumulation"]
        for job in jobs
    }
    assert len(steps) == 1
    needing = {job.method for job in jobs if methods.get(job.train).NEEDS.get("responses")}
    assert needing == {"mpo", "translate-sft", "translate-dpo", "sdrrl"}
    assert {job.method for job in jobs if job.responses} == needing


def test_the_report_says_what_is_there_and_what_is_missing(tmp_path):
    plan = reproduce.read("quick")
    protocol, names = plan.protocol, [job.name for job in plan.jobs]
    folder = tmp_path / "records"
    base = records.make("SmolLM2-135M-Instruct", tasks=TASKS).model_copy(
        update={"hardware": {"cores": 16, "gpus": ["GPU <b>"]}}
    )
    manifest = {"method": "dpo", "steps": 10, "tokens": 1000, "mlc_tokens": 700, "seconds": 5.5}
    manifest |= {"peak_memory_bytes": 2**30}
    low = {"en": 0.9, "sw": 0.2, "ps": 0.2, "ar": 0.2}
    trained = [run("smollm2-dpo-s1", low, training=manifest), run("smollm2-dpo+mlc-s1", 0.9)]
    trained = [one.model_copy(update={"hardware": {"cores": 2, "gpus": []}}) for one in trained]
    records.save(folder, base, *trained)
    records.save(folder, run("smollm2-sft-s1", 0.9))  # of another form
    made = report.of_records(folder, protocol, "quick", {"smollm2-mpo-s1": "no data <b>"}, names)
    page = report.write(made, tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "pku was not run here (it is not part of this form)" in text
    assert "3 runs, scored on 2 CPU cores by hf (2); GPU &lt;b&gt; by hf (1)." in text
    assert "The form `quick` has these methods only: base, dpo, dpo+mlc, cosine." in text
    assert "The form `quick` has no other settings of MLC." in text
    assert "sft |" not in text
    assert "**reproduced**" in text
    assert "smollm2-mpo-s1 is missing: no data &lt;b&gt;" in text.replace("\\-", "-")
    (line,) = [line for line in text.splitlines() if line.startswith("| smollm2 | dpo | 10 |")]
    assert line.replace("\\", "") == "| smollm2 | dpo | 10 | 1000 | 700 | 6 | 1.00 |"
    assert "<table>" in page.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "leaderboard" / "README.md").is_file()
    assert (tmp_path / "out" / "frontier-smollm2.svg").is_file()
    (first_claim,) = [line for line in text.splitlines() if line.startswith("| 1 |") and "| dpo+mlc " in line]
    assert first_claim.replace("\\", "").endswith("| 29.5 |")  # the paper's 95.94 - 66.4
    assert "What the layers see" not in text  # no model was probed
    assert report.of_records(folder, protocol, "quick", {"smollm2-mpo-s1": "no data <b>"}, names).document == text
    # The averages of the table are those of the outcomes.
    arm = claims.arms([record.read(path) for path in folder.rglob("run.json")], {})["smollm2", "dpo"]
    assert report_tables.average(arm, "starter_harmful", ["en", "sw"]) == pytest.approx(0.55)
    assert stats.average(np.array([[1.0, 0.0]])) == 0.5


def test_the_report_shows_safety_and_over_refusal_language_by_language(tmp_path):
    plan = reproduce.read("quick")  # trained in en zh ar sw
    rates = {"en": 0.9, "sw": 0.2, "ps": 0.1, "ar": 0.5}
    first = run("smollm2-dpo-s1", rates, {"en": 0.5, "sw": 0.1, "ps": 0.0, "ar": 0.2})
    twice = [run(f"smollm2-cosine-s{seed}", rate, 0.0, languages=("en", "sw")) for seed, rate in ((1, 0.2), (2, 0.4))]
    strings = {"pku": {"en": "1" * 10, "ru": "1" + "0" * 9}}
    paper = records.make("smollm2-dpo+mlc-s1", tasks=[("pku", "safety", None)], strings=strings)
    folder = records.save(tmp_path / "records", first, *twice, paper)
    names = [job.name for job in plan.jobs] + ["smollm2-cosine-s2"]
    text = report.of_records(folder, plan.protocol, "quick", {}, names).document
    section = text.split("## Language by language")[1].split("\n## ")[0].replace("\\", "")
    assert "come first: en zh ar sw." in section
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert all("[" in row for row in rows[2:])  # every rate has its interval
    assert [re.sub(r" \[[^]]+\]", "", row) for row in rows] == [
        "| method | seeds | task | en | ar | sw | ps | ru |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| dpo | 1 | starter_harmful | 90.0 / 50.0 | 50.0 / 20.0 | 20.0 / 10.0 | 10.0 / 0.0 | – / – |",
        "| dpo+mlc | 1 | pku | 100.0 | – | – | – | 10.0 |",
        "| cosine | 2 | starter_harmful | 30.0 / 0.0 | – / – | 30.0 / 0.0 | – / – | – / – |",
    ]
    low, high = stats.wilson(36, 40)  # as in every table of one language
    assert f"| 90.0 [{100 * low:.1f}, {100 * high:.1f}] / 50.0" in rows[2]


def test_every_method_has_a_mark_of_its_own_in_the_frontier(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "RESAMPLES", 10)  # no interval is looked at
    plan = reproduce.read("core")
    made = [run(job.name, 0.5, 0.01 * number) for number, job in enumerate(plan.jobs) if job.name.startswith("gemma")]
    folder = records.save(tmp_path / "records", *made)
    found = report.of_records(folder, plan.protocol, "core", {}, [job.name for job in plan.jobs])
    (axes,) = found.figures["frontier-gemma"].axes
    methods_drawn = {job.method for job in plan.jobs if job.model == "gemma"}
    points = [line for line in axes.lines if line.get_label() in methods_drawn]
    assert len(points) == len(methods_drawn)
    assert len({(line.get_marker(), line.get_color()) for line in points}) == len(points)


def probed(shift):
    layers = [
        {"layer": number, "share": 0.5 + shift, "cosine": {"sw": 0.6 + shift, "zh": 0.7 + shift},
         "matched": {"sw": 0.1 * number, "zh": 0.2}, "margin": 0.1}
        for number in (1, 2, 3)
    ]  # fmt: skip
    return [{"model": "m", "task": "starter_harmful", "prompts": 40, "layers": layers, "picked": 2}]


def test_the_report_draws_what_the_layers_see(tmp_path):
    protocol = reproduce.read("quick").protocol
    folder = records.save(tmp_path / "records", records.make("SmolLM2-135M-Instruct", tasks=TASKS))
    (folder / "probes").mkdir()
    for name, shift in (("SmolLM2-135M-Instruct", 0.0), ("smollm2-dpo+mlc-s1", 0.2)):
        (folder / "probes" / f"{name}.json").write_text(json.dumps(probed(shift)))
    names = ["smollm2-dpo-s1", "SmolLM2-135M-Instruct", "smollm2-dpo+mlc-s1"]
    made = report.of_records(folder, protocol, "quick", {}, names)
    text = made.document.replace("\\", "")
    assert "| smollm2 | dpo+mlc | 3 (last) | 0.700 | 0.850 | 25.0 |" in text
    assert "| smollm2 | base | 2 (picked) | 0.500 | 0.650 | 20.0 |" in text
    assert "probe-smollm2" in made.figures
    assert "Runs of this form without a record yet (2): smollm2-dpo-s1, smollm2-dpo+mlc-s1." in text
    (folder / "probes" / "smollm2-dpo-s1.json").write_text("[]")
    with pytest.raises(errors.StaleError, match="remove it"):
        report.of_records(folder, protocol, "quick", {}, names)


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
        assert none.high == pytest.approx(stats.wilson(0, 40)[1])  # not certain: 40 prompts


class Commands:
    """Stands in for the commands of a reproduction of `core` on gemma: notes what is run, makes the files it makes."""

    def __init__(self, tmp_path, monkeypatch, fails=()):
        plan = reproduce.read("core", records=tmp_path / "records")
        jobs = [job for job in plan.jobs if job.model == "gemma" and job.method in ("base", "dpo")]
        plan = dataclasses.replace(plan, jobs=jobs)
        monkeypatch.setattr(reproduce.demo, "is_installed", lambda which: True)
        monkeypatch.setattr(reproduce.Reproduction, "_command", lambda _, line, keep_output=False: self.run(line))
        self.work = reproduce.Reproduction(plan, tmp_path / "work", None, "hf", keep=True)
        self.fails, self.trained, self.started, self.at_work, self.most = fails, [], [], 0, 0
        self.lock = threading.Lock()

    def run(self, line):
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        time.sleep(0.05)
        with self.lock:
            self.at_work -= 1
        if line[0] == "train-baseline":
            return self.train(yaml.safe_load(Path(line[-1]).read_text(encoding="utf-8")))
        name = Path(line[line.index("--model") + 1]).name if "--model" in line else None
        if line[1] == "run":
            (self.work.work / "results" / name / f"run-{name}").mkdir(parents=True)
            return json.dumps([{"run_id": f"run-{name}"}])
        if line[1] == "leaderboard":
            path = self.work.plan.records / f"{Path(line[3]).parent.name}-00000000" / "run-1.json"
            path.parent.mkdir(parents=True)
            path.write_text("{}")
        return "{}"

    def train(self, settings):
        folder = Path(settings["output"])
        with self.lock:
            self.trained.append(folder.name)
            self.started.append(settings["model"])
        if folder.name in self.fails:
            raise subprocess.CalledProcessError(1, ["train-baseline"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "train_manifest.json").write_text("{}")
        return ""


def test_several_runs_at_a_time_make_what_they_start_from_once(tmp_path, monkeypatch):
    commands = Commands(tmp_path, monkeypatch)
    assert commands.work.run(workers=3) == {}
    assert 1 < commands.most <= 3
    bases, others = {f"gemma-base-s{seed}" for seed in (1, 2, 3)}, {f"gemma-dpo-s{seed}" for seed in (1, 2, 3)}
    assert set(commands.trained[:3]) == bases
    assert {name for name in commands.trained if commands.trained.count(name) == 1} == others  # bases: once more, done
    assert all(commands.work.record_of(job) for job in commands.work.plan.jobs)
    again = Commands(tmp_path, monkeypatch)
    assert again.work.run(workers=3) == {}
    assert not again.trained


def test_weights_that_are_not_here_are_trained_again(tmp_path, monkeypatch):
    """A record came from another machine; the model that others start from did not."""
    commands = Commands(tmp_path, monkeypatch)
    for seed in (1, 2, 3):
        path = commands.work.plan.records / f"gemma-base-s{seed}-00000000" / "run-1.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert commands.work.run() == {}
    assert commands.trained == [f"gemma-{method}-s{seed}" for method in ("base", "dpo") for seed in (1, 2, 3)]
    assert commands.started == ["demo-gemma"] * 3 + [
        str(commands.work.work / "models" / f"gemma-base-s{seed}") for seed in (1, 2, 3)
    ]
    scored = {path.name for path in (commands.work.work / "results").iterdir()}
    assert scored == {f"gemma-dpo-s{seed}" for seed in (1, 2, 3)}


def test_what_starts_from_a_model_that_failed_is_left_out_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    commands = Commands(tmp_path, monkeypatch, fails=("gemma-base-s2",))
    assert commands.work.run(workers=2) == {
        "gemma-base-s2": "train-baseline ended with exit code 1", "gemma-dpo-s2": "gemma-base-s2 was not made",
    }  # fmt: skip
    assert commands.trained.count("gemma-base-s2") == 1
    assert sum(commands.work.record_of(job) is not None for job in commands.work.plan.jobs) == 4
    printed = capsys.readouterr().err
    assert "gemma-base-s2: train-baseline ended with exit code 1; the others go on" in printed
    assert " runs left, about 0 min)" in printed


def test_an_interrupt_ends_the_commands_and_starts_no_more(tmp_path):
    """Two long commands at a time; the interrupt reaches the driver alone."""
    script = f"""
import subprocess, sys
from pathlib import Path
from mlc_bench.baselines import reproduce
reproduce.BIN, reproduce._GRACE = Path({str(tmp_path)!r}), 0.1
class Long(reproduce.Reproduction):
    def _do(self, job):
        self._command(["long"])
plan = reproduce.read("quick", records=Path({str(tmp_path / "records")!r}))
reproduce.demo.is_installed = lambda which: True
try:
    Long(plan, Path({str(tmp_path)!r}), None, "hf", keep=True).run(workers=2)
except KeyboardInterrupt:
    sys.exit(130)
"""
    long = tmp_path / "long"
    long.write_text(
        f"#!{sys.executable}\nimport os, time\nfrom pathlib import Path\n"
        f"note = Path({str(tmp_path)!r}) / f'started-{{os.getpid()}}'\nnote.touch()\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    note.rename(note.with_name(f'ended-{os.getpid()}'))\n"
    )
    long.chmod(0o755)
    driver = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("started-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=30) == 130
    assert len(list(tmp_path.glob("ended-*"))) == 2
    assert not list(tmp_path.glob("started-*"))


def test_vllm_takes_one_run_at_a_time():
    command = [sys.executable, "-m", "mlc_bench.baselines.reproduce", "--workers", "2", "--engine", "vllm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--workers: vLLM takes the whole GPU" in done.stderr


def test_the_report_shows_differences_seed_by_seed(tmp_path):
    plan = reproduce.read("core")
    pairs = [(1, 0.2, 0.7), (2, 0.4, 0.5)]
    made = [run(f"smollm2-dpo-s{seed}", rate, 0.0) for seed, rate, _ in pairs]
    made += [run(f"smollm2-dpo+mlc-s{seed}", rate, 0.1) for seed, _, rate in pairs]
    folder = records.save(tmp_path / "records", *made, run("smollm2-cosine-s1", 0.9))
    text = report.of_records(folder, plan.protocol, "core", {}, [job.name for job in plan.jobs]).document
    section = text.split("## Seed by seed")[1].split("\n## ")[0]
    assert "| smollm2 | dpo+mlc − dpo | 1, 2 | 50.0, 10.0 | 10.0, 10.0 | 0.0, 0.0 |" in section
    assert "cosine" not in section  # one seed


def test_a_setting_is_better_where_harmful_and_harmless_twins_come_further_apart(tmp_path):
    plan = reproduce.read("core")
    made = [run("gemma-dpo+mlc-s1", 0.6, 0.4), run("gemma-dpo+mlc-s2", 0.1, 0.1)]  # the second seed has no ablation
    made += [run("gemma-dpo+mlc.signed-s1", 0.9, 0.2), run("gemma-dpo+mlc.centred-s1", 0.9, 0.7)]
    made += [run("smollm2-dpo+mlc-s1", 0.6, 0.4), run("smollm2-dpo+mlc.centred-s1", 0.6, 0.9)]

    def section(*runs):
        folder = records.save(tmp_path / str(len(runs)), *runs)
        text = report.of_records(folder, plan.protocol, "core", {}, [job.name for job in plan.jobs]).document
        return text.split("## Is another setting better?")[1].split("\n## ")[0].replace("\\", "")

    found = section(*made)
    rows = [line.split(" | ") for line in found.splitlines() if line.startswith("| centred") or "signed |" in line]
    assert [(row[0].strip("| "), row[1], row[2], row[3].split()[0], row[4].strip("*| ")) for row in rows] == [
        ("centred", "gemma", "1", "0.0", "undecided"),
        ("centred", "smollm2", "1", "-50.0", "worse"),
        ("signed", "gemma", "1", "50.0", "better"),
    ]
    assert "Better on one model and worse on none: signed." in found
    spoilt = section(*made, run("smollm2-dpo+mlc.signed-s1", 0.6, 0.9))
    assert "No setting is better by the rule." in spoilt


def test_forms_that_share_their_records_have_the_same_runs():
    quick, core = reproduce.read("quick"), reproduce.read("core")
    assert quick.records == core.records
    assert all(job in core.jobs for job in quick.jobs)
    same = ("tasks", "languages", "max_tokens", "trained_languages", "train")
    assert all(core.protocol["forms"]["core"][key] == core.protocol["forms"]["quick"][key] for key in same)


def test_a_protocol_without_the_form_is_named(tmp_path):
    file = tmp_path / "protocol.yaml"
    file.write_text("forms: {full: {}}")
    with pytest.raises(errors.UsageError, match=r"protocol\.yaml has no form 'wide'; it has: full"):
        reproduce.read("wide", file)


def test_the_wide_form_trains_what_core_trains_and_scores_it_on_all_that_full_has():
    wide, core = reproduce.read("wide"), reproduce.read("core")
    forms = wide.protocol["forms"]
    assert wide.jobs
    assert all(job in core.jobs for job in wide.jobs)
    assert wide.records != core.records
    assert forms["wide"]["tasks"] == forms["full"]["tasks"]
    assert not forms["wide"]["languages"]
    assert {"full", *reproduce.FORMS} == set(forms)


@pytest.mark.parametrize("committed", sorted((ROOT / "docs" / "reproduction").glob("*")), ids=lambda path: path.name)
def test_the_committed_report_is_what_the_records_give(committed):
    """docs/reproduction/FORM: made anew with `--report-only`."""
    plan = reproduce.read(committed.name)
    made = report.of_records(plan.records, plan.protocol, plan.form, {}, [job.name for job in plan.jobs])
    assert (committed / "report.md").read_text(encoding="utf-8") == made.document
    board = (committed / "leaderboard" / "README.md").read_text(encoding="utf-8")
    assert board == render_markdown.document(made.board)
    assert {path.stem for path in committed.glob("*.svg")} == set(made.figures)


def test_the_readme_shows_the_reports():
    """Its tables and pictures are those of docs/reproduction, and each number of its sentences stands there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Does MLC do what the paper says?")[1].split("\n## ")[0]
    reports = sorted((ROOT / "docs" / "reproduction").glob("*/report.md"))
    report_lines = [line for path in reports for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 4
    assert set(rows) <= set(report_lines)
    sentences = "\n".join(line for line in section.splitlines() if not line.startswith("|"))
    numbers = set(re.findall(r"\d+\.\d+", sentences))
    assert len(numbers) > 10
    assert numbers <= set(re.findall(r"\d+\.\d+", "\n".join(report_lines)))
    pictures = [part.split(")")[0] for part in section.split("](") if part.split(")")[0].endswith(".svg")]
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


@pytest.mark.integration
def test_the_whole_through_the_public_commands_and_again(tmp_path, tiny_model):
    """Trains and scores a tiny model by a small protocol; a second call finds everything done."""
    protocol = {
        "version": 1, "trained_languages": ["en", "sw"],
        "models": {"tiny": {"start": str(tiny_model), "name": "tiny"}},
        "train": {"cutoff": 1024, "batch_size": 2, "accumulation": 1, "max_steps": 2, "learning_rate": 1.0e-3},
        "methods": {"base": {}, "dpo": {"train": "dpo"},
                    "dpo+mlc": {"train": "dpo", "counterpart": "dpo", "settings": {"mlc": {}}},
                    "mpo": {"train": "mpo", "responses": True},
                    "orpo": {"train": "orpo", "settings": {"batch_size": 0}}},
        "ablations": {}, "probe": ["base", "dpo+mlc"],
        "forms": {
            "full": {"models": ["tiny"], "methods": "all", "ablations": [], "seeds": {"others": [1]}, "max_tokens": 8,
                     "tasks": ["starter_harmful", "starter_benign", "starter_choice"], "languages": ["en", "sw"],
                     "with_responses": {"max_steps": 1}, "engine_args": {"hf": ["batch_size=40"]}},
        },
    }  # fmt: skip
    file = tmp_path / "protocol.yaml"
    file.write_text(yaml.safe_dump(protocol))
    command = [sys.executable, "-m", "mlc_bench.baselines.reproduce", "--protocol", file, "--engine", "hf"]
    command += ["--records", tmp_path / "records", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stderr  # ORPO's settings are refused
    report_text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "tiny-orpo-s1 is missing: train-baseline ended with exit code 2" in report_text
    kept = sorted((tmp_path / "records").rglob("run-*.json"))
    assert len(kept) == 4
    assert {path.stem for path in (tmp_path / "records").rglob("probes/*.json")} == {"tiny", "tiny-dpo+mlc-s1"}
    trained = next(path for path in kept if "mlc" in str(path))
    assert record.read(trained).model.training["method"] == "dpo+mlc"
    assert record.read(next(path for path in kept if "mpo" in str(path))).model.training["steps"] == 1
    again = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert "4 of them are finished" in again.stderr
    assert sorted((tmp_path / "records").rglob("run-*.json")) == kept
