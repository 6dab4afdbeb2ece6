"""The reproduction: its protocol, its commands, the committed reports, and all of it on a tiny model."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import signals
import yaml
from conftest import ROOT

from mlc_bench.baselines import methods, reproduce
from mlc_bench.baselines.data import training_data
from mlc_bench.core import errors
from mlc_bench.leaderboard.render import to_markdown
from mlc_bench.leaderboard.report import document
from mlc_bench.records import record


def test_the_jobs_of_the_protocol():
    plan = reproduce.read("full")
    names = [job.name for job in plan.jobs]
    assert len(set(names)) == len(names)
    seeds = {(job.model, job.method): 0 for job in plan.jobs}
    for job in plan.jobs:
        seeds[job.model, job.method] += 1
    for method in ("dpo", "dpo+mlc", "cosine", "mpo"):
        assert seeds["smollm2", method] == seeds["gemma", method] == 3
    made = set(names) | {"demo-tiny", "demo-gemma"}
    assert all(job.start in made for job in plan.jobs)
    assert all(job.method in plan.protocol["methods"] or "." in job.method for job in plan.jobs)


def test_a_model_that_is_not_installed_is_said_before_anything_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(reproduce.demo_models, "is_installed", lambda which: which == "demo-tiny")
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


class Commands:
    """Replaces the commands of a reproduction of `core` on gemma: notes what is run, makes the files it makes."""

    def __init__(self, tmp_path, monkeypatch, fails=()):
        plan = reproduce.read("core", records=tmp_path / "records")
        jobs = [job for job in plan.jobs if job.model == "gemma" and job.method in ("base", "dpo")]
        plan = dataclasses.replace(plan, jobs=jobs)
        monkeypatch.setattr(reproduce.demo_models, "is_installed", lambda which: True)
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
reproduce.demo_models.is_installed = lambda which: True
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
    driver = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL, preexec_fn=signals.reset)
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
    made = document.of_records(plan.records, plan.protocol, plan.form, {}, [job.name for job in plan.jobs])
    assert (committed / "report.md").read_text(encoding="utf-8") == made.document
    board = (committed / "leaderboard" / "README.md").read_text(encoding="utf-8")
    assert board == to_markdown.document(made.board)
    assert {path.stem for path in committed.glob("*.svg")} == set(made.figures)


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
