"""The reproduction: its protocol, its commands, the committed reports, and all of it on a tiny model."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sample_records
import signals
import yaml
from conftest import ROOT

from mlc_bench.baselines import reproduce
from mlc_bench.baselines.reproduction import choice
from mlc_bench.baselines.reproduction import plan as plans
from mlc_bench.core.names import folder_name
from mlc_bench.leaderboard.render import to_markdown
from mlc_bench.leaderboard.report import document
from mlc_bench.records import record
from mlc_bench.records.record import Value


def reproduction(plan, work=Path("work")):
    return reproduce.Reproduction(plan, work, None, "hf", keep=False)


def on_development(selectivity, invalid=0.0, languages=("en", "zh")):
    """A record on the development pairs with this selectivity in each language."""
    harmful = {code: "1" * 10 + "i" * round(40 * invalid) + "0" * (30 - round(40 * invalid)) for code in languages}
    harmless = {code: "1" * (10 - round(40 * selectivity)) + "0" * (30 + round(40 * selectivity)) for code in languages}
    return sample_records.make(
        tasks=(("dev_harmful", "safety", "dev_harmless"), ("dev_harmless", "over_refusal", None)),
        strings={"dev_harmful": harmful, "dev_harmless": harmless},
    )


def test_the_candidate_with_the_highest_selectivity_is_chosen():
    runs = {0: on_development(0.1), 1: on_development(0.2), 2: on_development(0.2)}
    assert choice.score(runs[1]) == pytest.approx(0.2)
    assert choice.best(runs) == 1, "of equal ones the first, which is the gentlest"
    silent = on_development(0.25, invalid=0.5)
    assert choice.score(silent) is None
    assert choice.best(runs | {3: silent}) == 1, "a model that no longer answers is not chosen"
    assert choice.best({0: silent, 1: silent}) == 0
    settings = [{"learning_rate": 1e-5, "max_steps": 16}, {"learning_rate": 3e-5, "max_steps": 16}]
    assert choice.as_rows(settings, {0: runs[0], 1: silent}) == [
        ["learning rate 1e-05, max steps 16", "+10.0", "", "100", "yes"],
        ["learning rate 3e-05, max steps 16", "+25.0", "en zh", "100", ""],
    ]
    assert choice.as_rows(settings, {0: silent, 1: silent})[0][-1] == "the first, as none qualifies"
    assert [row[-1] for row in choice.as_rows(settings, {1: runs[0]})] == ["not all are tried"]


def test_where_a_method_demands_fidelity_a_candidate_that_answers_in_another_language_is_not_chosen():
    runs = {0: on_development(0.1), 1: in_english(on_development(0.2), "zh", 0.85)}
    assert choice.least_fidelity(runs[1]) == 0.85
    assert choice.best(runs) == 1
    assert choice.best(runs, fidelity=0.9) == 0
    assert choice.score(runs[1], fidelity=0.9) is None
    (first, second) = choice.as_rows([{"max_steps": 9}, {"max_steps": 18}], runs, fidelity=0.9)
    assert (first[-1], second) == ("yes", ["max steps 18", "+20.0", "", "85", ""])


def in_english(made, code, fidelity):
    """The same record with this share of answers in the prompt's language, in one language of its last task."""
    made = made.model_copy(deep=True)
    result = made.tasks[-1].languages[code]
    result.metrics["language_fidelity"] = Value(value=fidelity, low=0.0, high=1.0, n=40)
    return made


class Commands:
    """Replaces the commands of a reproduction of `core`: notes what is run, makes the files it makes."""

    def __init__(self, tmp_path, monkeypatch, fails=(), plan=None, keep=True):
        if plan is None:
            plan = plans.read(["core"], records=tmp_path / "records")
            jobs = [job for job in plan.jobs if job.method in ("base", "dpo")]
            trials = [job for job in plan.trials if job.method in ("base", "dpo")]
            plan = dataclasses.replace(plan, jobs=jobs, trials=trials)
        monkeypatch.setattr(reproduce.demo_models, "is_installed", lambda which: True)
        monkeypatch.setattr(reproduce.Reproduction, "_command", lambda _, line, keep_output=False: self.run(line))
        self.work = reproduce.Reproduction(plan, tmp_path / "work", None, "hf", keep=keep)
        self.fails, self.settings, self.judged, self.at_work, self.most = fails, {}, [], 0, 0
        self.asked, self.lines = {}, []
        self.lock = threading.Lock()

    def run(self, line):
        with self.lock:
            self.at_work += 1
            self.most = max(self.most, self.at_work)
        time.sleep(0.05)
        with self.lock:
            self.at_work -= 1
        self.lines.append(line)
        if line[0] == "train-baseline":
            return self.train(yaml.safe_load(Path(line[-1]).read_text(encoding="utf-8")))
        if line[1] == "run":
            tasks = line[line.index("--tasks") + 1].split(",")
            return self.answer(line, Path(line[line.index("--model") + 1]).name, tasks)
        if line[1:3] == ["gate", "apply"]:
            return self.answer(line, Path(line[line.index("--gate") + 1]).name, self.asked[Path(line[3])])
        if line[1] == "judge":
            self.judged.append(Path(line[2]).parent.name)
        if line[1] == "leaderboard":
            name, tasks = Path(line[3]).parent.name, self.asked[Path(line[3])]
            best = self.best(name, tasks)
            name = self.work.plan.protocol["models"]["qwen05"]["name"] if name == "demo" else name
            path = self.work.plan.records / f"{folder_name(name)}-00000000" / f"run-{len(tasks)}-refusal.json"
            record.write_text(path, best.model_dump_json())  # whole or not at all, as the command: others read there
        return "{}"

    def answer(self, line, name, tasks):
        """A run of a model on these tasks, which has a folder of its own and may be there already."""
        folder = Path(line[line.index("--output") + 1]) / name / f"run-{name}-{len(tasks)}"
        folder.mkdir(parents=True, exist_ok=True)
        self.asked[folder] = tasks
        return json.dumps([{"run_id": folder.name}])

    def best(self, name, tasks):
        """The second candidate is the best one."""
        if "candidate" in name:
            return on_development(0.2 if "candidate-2" in name else 0.1)
        if tasks == self.work.plan.protocol["choice"]["tasks"]:
            return on_development(0.05)
        return sample_records.make(name, tasks=tuple((task, "safety", None) for task in tasks))

    def train(self, settings):
        folder = Path(settings["output"])
        if folder.name in self.fails:
            raise subprocess.CalledProcessError(1, ["train-baseline"])
        with self.lock:
            self.settings[folder.name] = settings
        folder.mkdir(parents=True, exist_ok=True)
        return ""


def test_settings_are_chosen_first_and_then_every_run_is_made_with_them(tmp_path, monkeypatch):
    commands = Commands(tmp_path, monkeypatch)
    assert commands.work.run(workers=3) == {}
    assert 1 < commands.most <= 3
    plan = commands.work.plan
    candidates = plan.protocol["choice"]["candidates"]
    trained = list(commands.settings)
    assert set(trained[:4]) == {f"qwen05-dpo.candidate-{place}-s0" for place in (1, 2, 3, 4)}
    assert sorted(trained[4:]) == [f"qwen05-dpo-s{seed}" for seed in (1, 2, 3)]
    for seed in (1, 2, 3):
        settings = commands.settings[f"qwen05-dpo-s{seed}"]
        assert settings["seed"] == seed
        assert {key: settings[key] for key in candidates[1]} == candidates[1]
    assert {*plan.protocol["choice"]["tasks"]} < {*settings["keep_out"]}
    assert sorted(commands.judged) == ["demo", *(f"qwen05-dpo-s{seed}" for seed in (1, 2, 3))]  # by the second judge
    assert [row[-1] for row in commands.work.choices()["dpo"]] == ["", "yes", "", ""]
    assert commands.work.choices()["base"] == [["as released", "+5.0", "", "100", ""]], "what they are held against"
    again = Commands(tmp_path, monkeypatch)
    assert again.work.run(workers=3) == {}
    assert not again.settings


def test_without_all_candidates_nothing_is_chosen_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    commands = Commands(tmp_path, monkeypatch, fails=("qwen05-dpo.candidate-2-s0",))
    failed = commands.work.run(workers=2)
    assert failed.pop("qwen05-dpo.candidate-2-s0") == "train-baseline ended with exit code 1"
    assert failed == {f"qwen05-dpo-s{seed}": "a candidate of dpo has no record" for seed in (1, 2, 3)}
    assert commands.judged == ["demo"]
    printed = capsys.readouterr().err
    assert "qwen05-dpo.candidate-2-s0: train-baseline ended with exit code 1; the others go on" in printed
    assert " runs left, about 0 min)" in printed


def test_a_method_that_starts_from_what_another_one_made(tmp_path, monkeypatch):
    """Its trials come after the other's, and the first model is kept until nothing needs it."""
    protocol = yaml.safe_load(plans.PROTOCOL.read_text(encoding="utf-8"))
    protocol["methods"]["dpo.grpo"] = {"train": "grpo", "after": "dpo", "counterpart": "dpo"}
    protocol["forms"] = {"core": {"models": ["qwen05"], "methods": ["base", "dpo.grpo", "dpo"], "seeds": [1, 2]}}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(protocol))
    plan = plans.read(path=path, records=tmp_path / "records")
    tried = [job.method for job in plan.trials]
    assert tried == ["base"] + ["dpo"] * 4 + ["dpo.grpo"] * 4
    commands = Commands(tmp_path, monkeypatch, plan=plan, keep=False)
    assert commands.work.run(workers=2) == {}
    candidates = plan.protocol["choice"]["candidates"]
    models = tmp_path / "work" / plan.records.name / "models"
    for name, first in [*((f"qwen05-dpo.grpo.candidate-{n}-s0", "qwen05-dpo-s0") for n in (1, 2, 3, 4)),
                        *((f"qwen05-dpo.grpo-s{seed}", f"qwen05-dpo-s{seed}") for seed in (1, 2))]:  # fmt: skip
        assert commands.settings[name]["model"] == str(models / first)
        assert commands.settings[first]["seed"] == commands.settings[name]["seed"]
        assert {key: commands.settings[first][key] for key in candidates[1]} == candidates[1], "dpo's own choice"
    assert not list(models.iterdir()), "every model is removed once nothing starts from it"


def small(tmp_path, methods, **forms):
    """A plan of some methods of ours, in forms of one seed."""
    protocol = yaml.safe_load(plans.PROTOCOL.read_text(encoding="utf-8"))
    protocol["forms"] = {"core": {"models": ["qwen05"], "methods": methods, "seeds": [1]}} | forms
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(protocol))
    return plans.read(path=path, records=tmp_path / "records")


def test_a_gate_is_fitted_without_trials_and_put_before_the_answers_of_the_base(tmp_path, monkeypatch):
    plan = small(tmp_path, ["base", "gate"])
    assert plan.trials == []
    commands = Commands(tmp_path, monkeypatch, plan=plan, keep=False)
    assert commands.work.run() == {}
    assert not commands.settings, "nothing is trained"
    fit, applied = (line for line in commands.lines if line[1] == "gate")
    rows = [json.loads(line) for line in Path(fit[fit.index("--data") + 1]).read_text(encoding="utf-8").splitlines()]
    assert set(rows[0]["prompts"]) == {*plan.protocol["trained_languages"]}
    assert {*plan.protocol["choice"]["tasks"], "starter_harmful"} < {*fit[fit.index("--keep-out") + 1].split(",")}
    base, gated = (commands.work.record_of(job) for job in plan.jobs)
    runs = {line[line.index("--output") + 1] for line in commands.lines if line[1] == "run"}
    assert len(runs) == 1, "the base's folder, in which its answers are"
    assert applied[3].startswith(runs.pop())
    assert applied[applied.index("--gate") + 1].endswith("qwen05-gate-s1")
    assert base != gated
    assert sorted(commands.judged) == ["demo", "qwen05-gate-s1"]


def test_a_disk_that_is_full_fails_one_run_and_the_others_go_on(tmp_path, monkeypatch):
    commands = Commands(tmp_path, monkeypatch, plan=small(tmp_path, ["base", "gate"]))
    write = reproduce.record.write_text

    def full(path, text):
        if path.name == "embedded.jsonl":
            raise OSError(28, "No space left on device", str(path))
        write(path, text)

    monkeypatch.setattr(reproduce.record, "write_text", full)
    failed = commands.work.run()
    assert failed.keys() == {"qwen05-gate-s1"}
    assert "No space left on device" in failed["qwen05-gate-s1"]
    assert commands.judged == ["demo"], "the base is scored all the same"


def test_a_gate_after_a_method_reads_that_methods_model_and_stands_before_its_answers(tmp_path, monkeypatch):
    plan = small(tmp_path, ["dpo+gate", "dpo"])
    assert {job.method for job in plan.trials} == {"base", "dpo"}, "the model behind the gate needs its settings"
    commands = Commands(tmp_path, monkeypatch, plan=plan, keep=False)
    commands.work.engine = "vllm"
    assert commands.work.run() == {}
    own = [name for name in commands.settings if "candidate" not in name]
    assert own == ["qwen05-dpo-s1"], "the model is trained once, and the gate is none"
    fit, applied = (line for line in commands.lines if line[1] == "gate")
    assert fit[fit.index("--model") + 1].endswith("models/qwen05-dpo-s1")
    assert fit[fit.index("--dtype") + 1] == "bfloat16", "as the model answers"
    runs = {
        line[line.index("--output") + 1] for line in commands.lines if "qwen05-dpo-s1" in str(line) if line[1] == "run"
    }
    assert len(runs) == 1, "its answers are those of the job of its own"
    assert applied[3].startswith(runs.pop())
    assert sorted(commands.judged) == ["qwen05-dpo+gate-s1", "qwen05-dpo-s1"]
    assert not list((commands.work.work / "models").glob("qwen05-dpo*")), "removed once both are done"


def test_a_form_with_roles_of_its_own_scores_the_models_of_the_others_again(tmp_path, monkeypatch):
    """A model stays until both are done, and each has a record of its own tasks."""
    roles = {"pairs": [["polyrefuse_harmful", "polyrefuse_harmless"]], "harmful": "multijail"}
    whole = {"models": ["qwen05"], "methods": ["base", "dpo"], "seeds": [1], "roles": roles}
    plan = small(tmp_path, ["base", "dpo"], whole=whole)
    wanted = ("polyrefuse_harmful", "polyrefuse_harmless", "multijail")
    assert [job.tasks for job in plan.jobs[2:]] == [wanted, wanted]
    commands = Commands(tmp_path, monkeypatch, plan=plan, keep=False)
    names = [job.name for job in plan.jobs[2:]]
    assert commands.work.waiting() == [f"{name} on {', '.join(wanted)}" for name in names]
    assert commands.work.run() == {}
    trained = [line for line in commands.lines if line[0] == "train-baseline" and "candidate" not in str(line[-1])]
    assert len({line[-1] for line in trained}) == 1, "the model of both, which `train-baseline` finds finished"
    assert commands.work.waiting() == []
    assert len({commands.work.record_of(job) for job in plan.jobs}) == 4
    assert not list((tmp_path / "work" / plan.records.name / "models").iterdir())


def test_a_model_that_is_not_installed_is_said_before_anything_is_tried(monkeypatch):
    monkeypatch.setattr(reproduce.demo_models, "is_installed", lambda which: which == "demo")
    plan = plans.read()
    base = {job.model: job for job in plan.jobs if job.method == "base"}
    assert reproduction(plan).missing(base["qwen05"]) == ""
    assert "make demo-1.5b" in reproduction(plan).missing(base["qwen15"])


def test_an_interrupt_ends_the_commands_and_starts_no_more(tmp_path):
    """Two long commands at a time; the interrupt reaches the driver alone."""
    script = f"""
import dataclasses, sys
from pathlib import Path
from mlc_bench.baselines import reproduce
from mlc_bench.baselines.reproduction import plan as plans
reproduce.BIN, reproduce._GRACE = Path({str(tmp_path)!r}), 0.1
class Long(reproduce.Reproduction):
    def _do(self, job):
        self._command(["long"])
plan = dataclasses.replace(plans.read(["core"], records=Path({str(tmp_path / "records")!r})), jobs=[])
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
    assert "--workers: vLLM takes the whole machine" in done.stderr


def test_the_committed_report_is_what_the_records_give():
    """docs/reproduction: made anew with `--report-only`."""
    committed = ROOT / "docs" / "reproduction"
    plan = plans.read()
    if not committed.is_dir():
        assert not list(plan.records.glob("*/run-*.json")), "records without a report: make reproduce"
        pytest.skip("no run of this protocol is finished")
    names = [job.name for job in plan.jobs]
    work = reproduction(plan)
    made = document.of_records(plan.records, plan.protocol, {}, names, work.choices(), plan.kappa(), work.waiting())
    assert (committed / "report.md").read_text(encoding="utf-8") == made.document
    board = (committed / "leaderboard" / "README.md").read_text(encoding="utf-8")
    assert board == to_markdown.document(made.board)
    assert {path.stem for path in committed.glob("*.svg")} == set(made.figures)


@pytest.mark.integration
def test_the_whole_through_the_public_commands_and_again(tmp_path, tiny_model, monkeypatch):
    """Chooses settings for, trains and scores a tiny model by a small protocol; a second call finds everything done."""
    protocol = yaml.safe_load(plans.PROTOCOL.read_text(encoding="utf-8"))
    protocol |= {
        "trained_languages": ["en", "sw"], "compare": [],
        "models": {"tiny": {"start": str(tiny_model), "name": "tiny"}},
        "train": {"cutoff": 1024, "batch_size": 2, "accumulation": 1},
        "methods": {"base": {}, "dpo": {"train": "dpo", "counterpart": "base"},
                    "dpo+mlc": {"train": "dpo", "counterpart": "dpo", "settings": {"mlc": {}}},
                    "gate": {"gate": True, "counterpart": "base"},
                    "orpo": {"train": "orpo", "counterpart": "base", "settings": {"batch_size": 0}}},
        "roles": {"pairs": [["starter_harmful", "starter_benign"]], "harmful": "starter_harmful",
                  "utility": "starter_choice"},
        "answers": {"max_tokens": 8, "engine_args": {"hf": ["batch_size=40"]}, "languages": ["en", "sw"]},
        "probe": ["base", "dpo+mlc"],
        "forms": {"core": {"models": ["tiny"], "methods": ["base", "dpo", "dpo+mlc", "orpo", "gate"], "seeds": [1]},
                  "more": {"models": ["tiny"], "methods": ["base"], "seeds": [1],
                           "roles": {"pairs": [["dev_harmful", "starter_benign"]], "harmful": "dev_harmful"}}},
    }  # fmt: skip
    protocol["choice"] |= {
        "model": "tiny", "languages": ["en", "sw"],
        "candidates": [{"learning_rate": 1.0e-4, "max_steps": 1}],
    }  # fmt: skip
    protocol["judges"] |= {"second": "rules"}  # needs no model
    file = tmp_path / "protocol.yaml"
    file.write_text(yaml.safe_dump(protocol))
    command = [sys.executable, "-m", "mlc_bench.baselines.reproduce", "--protocol", file, "--engine", "hf"]
    command += ["--records", tmp_path / "records", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert done.returncode == 1, done.stderr  # ORPO's settings are refused
    report_text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert "tiny-orpo-s1 is missing: a candidate of orpo has no record" in report_text
    kept = sorted((tmp_path / "records").rglob("run-*.json"))
    assert len(kept) == 3 + 2 * 5  # development pairs: base, candidates; by both: base (twice), two DPO, the gate
    assert {path.stem for path in (tmp_path / "records").rglob("probes/*.json")} == {"tiny", "tiny-dpo+mlc-s1"}
    trained = next(path for path in kept if "tiny-dpo+mlc-s1" in str(path))
    assert record.read(trained).model.training["method"] == "dpo+mlc"
    again = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    assert "8 of them are finished" in again.stderr
    gated = next(path for path in kept if "tiny-gate-s1" in str(path))
    assert record.read(gated).model.training["method"] == "gate"
    assert "## The form more: dev_harmful, starter_benign\n" in report_text
    assert sorted((tmp_path / "records").rglob("run-*.json")) == kept
