"""`--score-every` and `--report-to`: points while training, one that fails, a kill, an interrupt, trackers."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import helpers
import psutil
import pytest
import sample_records
import signals
import torch
from real_runs import wait_for
from test_training_runs import TRAIN, command, prepare, weights
from training import write_rows

from mlc_bench.baselines import cli, config, run, score
from mlc_bench.baselines.check import preflight
from mlc_bench.core.errors import PrerequisiteError, UsageError
from mlc_bench.leaderboard import curves
from mlc_bench.records import record, selectivity

EVERY = {"max_steps": 6, "save_steps": 2, "score_every": 2, "report_to": ["tensorboard"]}
SCORED = ["--save-steps", "3", "--score-every", "3", "--score-languages", "en"]
# In place of `mlc-bench run`: says at once what a record has; what it was asked is beside its records.
STAND_IN = """\
#!{python}
import json, os, sys, time
from pathlib import Path
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
folder = Path(given.get("--adapter") or given["--model"])
made = json.loads(Path({template!r}).read_text())
made["model"]["training"] = training = json.loads((folder / "train_manifest.json").read_text())
step = training["step"]
out = Path(given["--output"]) / "model" / f"step-{{step}}"
out.mkdir(parents=True, exist_ok=True)
with (out.parent / "asked.jsonl").open("a") as file:
    print(json.dumps([step, os.getpid(), sys.argv[1:], sorted(os.environ)]), file=file)
{body}
(out / "run.json").write_text(json.dumps(made))
print(json.dumps([made]))
"""
TASKS = (("dev_harmful", "safety", "dev_harmless"), ("dev_harmless", "over_refusal", None))


@pytest.fixture
def found():
    """The record that every score comes to."""
    made = sample_records.make("tiny", tasks=TASKS, languages=("en", "sw"))
    return made.model_copy(update={"selectivity": selectivity.of_record(made)})


@pytest.fixture
def stand_in(tmp_path, found):
    """`stand_in(body)`: the path of a command in place of `mlc-bench`, which does `body` before it answers."""
    template = tmp_path / "template.json"
    template.write_text(found.model_dump_json())

    def make(body=""):
        path = tmp_path / "stand-in"
        path.write_text(STAND_IN.format(python=sys.executable, template=str(template), body=body))
        path.chmod(0o755)
        return path

    return make


def asked(out):
    path = out / "scores" / "model" / "asked.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def logged(out, tag):
    """What a tracker was sent under a name, by step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(out / "logs"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}


@pytest.mark.parametrize("method", ["sft", "dpo", "simpo", "orpo"])
def test_points_stand_beside_the_loss(method, tiny_model, tmp_path, stand_in, found, monkeypatch, capsys):
    monkeypatch.setattr(score, "_COMMAND", stand_in("time.sleep(0.5)"))
    plain = run.execute(prepare(method, tiny_model, tmp_path, "plain", max_steps=6))
    made = run.execute(prepare(method, tiny_model, tmp_path, **EVERY))
    out = tmp_path / "out"
    assert [one[0] for one in asked(out)] == [2, 4, 6]
    (pair,) = found.selectivity
    for name, row in {**pair.languages, "mean": pair.mean}.items():
        wanted = {"refusal": row.harmful, "over_refusal": row.harmless, "selectivity": row.difference}
        for measure, value in wanted.items():
            points = logged(out, f"train/score/{measure}_{name}")
            assert points == {step: pytest.approx(value.value, abs=1e-6) for step in (2, 4, 6)}
    assert sorted(logged(out, "train/loss")) == [1, 2, 3, 4, 5, 6]
    mean = pair.mean
    line = f"step 2: refusal {100 * mean.harmful.value:.0f} %, over-refusal {100 * mean.harmless.value:.0f} %"
    said = capsys.readouterr().err
    assert line in said
    build = (
        f"mlc-bench leaderboard build {out / 'scores'} --out {out / 'page'}; then open {out / 'page' / 'index.html'}"
    )
    assert said.count(build) == 1  # not after the run without scores
    assert made["seconds"] < plain["seconds"] + 1.0  # three scores of half a second and a start are no training
    for name, weight in weights(tmp_path / "plain").items():
        torch.testing.assert_close(weights(out)[name], weight, rtol=1e-6, atol=1e-7)


def test_what_is_asked(tiny_model, tmp_path, stand_in, monkeypatch):
    """An adapter with its base model, full weights alone; nothing of the launcher's reaches the command."""
    monkeypatch.setattr(score, "_COMMAND", stand_in())
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    once = EVERY | {"max_steps": 3, "score_languages": ["en", "sw"], "score_max_tokens": 48}
    run.execute(prepare("sft", tiny_model, tmp_path, lora={"r": 2}, **once))
    steps = [one[0] for one in asked(tmp_path / "out")]
    assert steps == [2, 3]  # every second, and the last
    _, _, given, variables = asked(tmp_path / "out")[0]
    checkpoint = tmp_path / "out" / "checkpoints" / "checkpoint-2"
    assert given == [
        "run", "--model", str(tiny_model), "--adapter", str(checkpoint), "--engine", "hf", "--tasks",
        "dev_harmful,dev_harmless", "--languages", "en,sw", "--max-tokens", "48", "--output",
        str(tmp_path / "out" / "scores"), "--json",
    ]  # fmt: skip
    assert not {"MASTER_ADDR", "ACCELERATE_MIXED_PRECISION"} & set(variables)
    full = config.TrainConfig(model="m", output="o", save_steps=2, score_every=2)
    assert score.command(full, Path("o/checkpoint-2"))[2:4] == ["--model", "o/checkpoint-2"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('error: too little memory', file=sys.stderr); sys.exit(3)", "too little memory (see "),
        ("sys.exit(1)", "mlc-bench run ended with code 1 (see "),
        ("print('no JSON'); sys.exit(0)", "mlc-bench run ended with code 0 (see "),
        ("made['status'] = 'partial'; made['tasks'][0] |= {'status': 'failed', 'error': 'lost'}", "dev_harmful: lost"),
    ],
)
def test_a_score_that_fails_is_a_line(body, said, tiny_model, tmp_path, stand_in, monkeypatch, capsys):
    monkeypatch.setattr(score, "_COMMAND", stand_in(f"if step == 4:\n    {body}"))
    made = run.execute(prepare("sft", tiny_model, tmp_path, **EVERY))
    assert made["steps"] == 6
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "not scored" in line)
    assert line.startswith(f"step 4 is not scored: {said}")
    assert line.endswith("; training goes on")
    assert sorted(logged(tmp_path / "out", "train/score/refusal_en")) == [2, 6]


def test_a_command_that_is_not_there(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(score, "_COMMAND", tmp_path / "absent")
    assert run.execute(prepare("sft", tiny_model, tmp_path, **(EVERY | {"max_steps": 2})))["steps"] == 2
    assert "step 2 is not scored" in capsys.readouterr().err


def test_a_run_that_was_killed_while_it_scored(tiny_model, tmp_path, stand_in, monkeypatch):
    """The point that it owes is made first; those that are there are not made again."""
    monkeypatch.setattr(score, "_COMMAND", stand_in())
    real = score._carry_out

    def killed(line, output):
        if line[3].endswith("checkpoint-4"):
            raise KeyboardInterrupt
        return real(line, output)

    with monkeypatch.context() as patch:
        patch.setattr(score, "_carry_out", killed)
        with pytest.raises(KeyboardInterrupt):
            run.execute(prepare("sft", tiny_model, tmp_path, **EVERY))
    assert [one[0] for one in asked(tmp_path / "out")] == [2]
    run.execute(prepare("sft", tiny_model, tmp_path, **EVERY))
    assert [one[0] for one in asked(tmp_path / "out")] == [2, 4, 6]
    run.execute(prepare("sft", tiny_model, tmp_path, "whole", max_steps=6))
    for name, weight in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "out")[name], weight, rtol=1e-6, atol=1e-7)


def test_a_run_that_was_killed_after_a_score(tiny_model, tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(score, "_COMMAND", stand_in())

    class Killed(run.Watch):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 4:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "Watch", Killed)
        with pytest.raises(KeyboardInterrupt):
            run.execute(prepare("sft", tiny_model, tmp_path, **EVERY))
    run.execute(prepare("sft", tiny_model, tmp_path, **EVERY))
    assert [one[0] for one in asked(tmp_path / "out")] == [2, 4, 6]


def runs(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupt_ends_the_score_too(number, tiny_model, tmp_path, stand_in):
    path = stand_in("time.sleep(600)")
    arguments = [*command(tiny_model, tmp_path, "out", "--keep-out", "[]"), "--score-every", "2"]
    script = f"""
import sys
from pathlib import Path
from mlc_bench.baselines import cli, score
score._COMMAND = Path({str(path)!r})
sys.argv = ["train-baseline", *{arguments!r}]
cli.main()
"""
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, preexec_fn=signals.reset)
    try:
        wait_for(lambda: asked(tmp_path / "out"), seconds=600)  # the machine may be shared
        ((_, child, *_),) = asked(tmp_path / "out")
        process.send_signal(number)
        _, err = process.communicate(timeout=300)
    finally:
        process.kill()
    is_killed = number == signal.SIGKILL
    assert process.returncode == (-number if is_killed else 128 + number), err
    wait_for(lambda: not runs(child), seconds=60)
    if is_killed:
        return
    *_, kept, last = err.decode().splitlines()
    assert kept == f"{tmp_path / 'out' / 'checkpoints' / 'checkpoint-2'} is kept"
    assert last.startswith("interrupted; the same command goes on")


def test_a_tracker_that_is_not_installed(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(score.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match="report_to trackio: the package is not installed; run: pip install"):
        prepare("sft", tiny_model, tmp_path, report_to=["trackio"])
    assert not (tmp_path / "out").exists()


def test_nothing_is_reported_unless_it_is_asked_for(tiny_model, tmp_path):
    run.execute(prepare("sft", tiny_model, tmp_path, max_steps=1))
    assert not (tmp_path / "out" / "logs").exists()


def test_a_language_without_development_pairs(tiny_model, tmp_path):
    with pytest.raises(UsageError, match="score_languages xh: dev_harmful and dev_harmless have ar bn en"):
        prepare("sft", tiny_model, tmp_path, **EVERY, score_languages=["xh"])
    assert not (tmp_path / "out").exists()


def check(model, folder, **settings):
    values = {"model": str(model), "data": [str(write_rows(folder))], "output": folder / "out", "keep_out": []}
    chosen = config.TrainConfig.model_validate(values | EVERY | settings)
    return [(one.level, one.text) for one in preflight.findings("sft", chosen) if one.subject in ("scores", "disk")]


def test_check_says_what_the_scores_cost(tiny_model, tmp_path, found):
    (_, disk), (level, text) = check(tiny_model, tmp_path, score_languages=["en", "sw"], keep_checkpoints=3)
    assert "checkpoints, of which 3 stay" in disk
    assert level == "ok"
    assert text.startswith("3 points of 240 prompts in 2 languages")
    assert "is known after the first" in text
    for step, seconds in ((2, 100.0), (4, 140.0)):
        training = {"run": "r", "step": step}
        one = found.model_copy(update={"phases": {"generate": seconds}, "run_id": str(step)})
        one = one.model_copy(update={"model": found.model.model_copy(update={"training": training})})
        record.write(one, tmp_path / "out" / "scores" / "m" / str(step) / "run.json")
    assert "about 6 min, as the 2 that are there" in check(tiny_model, tmp_path)[1][1]
    assert check(tiny_model, tmp_path, score_languages=["xh"])[0][0] == "problem"
    assert len(check(tiny_model, tmp_path, score_every=None)) == 1


@pytest.mark.integration
def test_scores_of_a_real_run_that_is_killed_and_goes_on(tiny_model, tmp_path):
    """A real `mlc-bench run` each time; its records are ordinary ones, and make a curve."""
    options = ["--keep-out", "[]", *SCORED, "--keep-checkpoints", "all", "--lora", "--learning-rate", "1e-2"]
    whole = command(tiny_model, tmp_path, "whole", *options[:2], *options[-3:])
    arguments = command(tiny_model, tmp_path, "killed", *options)
    process = subprocess.Popen([TRAIN, *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    scores = tmp_path / "killed" / "scores"
    try:
        wait_for(lambda: list(scores.glob("*/responses/*")), seconds=600)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    for given in (whole, arguments):
        done = subprocess.run([TRAIN, *given], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "not scored" not in done.stderr
    for name, weight in weights(tmp_path / "whole").items():
        torch.testing.assert_close(weights(tmp_path / "killed")[name], weight, rtol=1e-5, atol=1e-6)
    base = ["run", "--model", tiny_model, "--engine", "hf", "--tasks", "dev_harmful,dev_harmless", "--languages", "en"]
    done = subprocess.run([score._COMMAND, *map(str, [*base, "--output", scores])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (found,), left_out = curves.of_paths([scores])
    assert (found.steps, left_out, found.method) == ([0, 3, 6], [], "dpo")
    manifest = json.loads((tmp_path / "killed" / "train_manifest.json").read_text())
    assert (found.run, found.base) == (manifest["run"], "tiny")
    before = sorted(scores.glob("*/*/run.json"))
    by_hand = ["run", "--model", tiny_model, "--adapter", tmp_path / "killed/checkpoints/checkpoint-3", *base[3:]]
    again = subprocess.run(
        [score._COMMAND, *map(str, [*by_hand, "--output", scores, "--json"])], capture_output=True, text=True
    )
    (made,) = json.loads(again.stdout)
    assert sorted(scores.glob("*/*/run.json")) == before, "by hand it is the same run, which is finished"
    assert made["model"]["training"]["step"] == 3


def test_the_command_line_takes_lists(tiny_model, tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr(score, "_COMMAND", stand_in())
    options = [
        "--score-every",
        "2",
        "--score-languages",
        "en,sw",
        "--report-to",
        "tensorboard",
        "--keep-checkpoints",
        "1",
    ]
    arguments = command(tiny_model, tmp_path, "out", "--keep-out", "[]", *options)
    done = helpers.command(*arguments, "--max-steps", "2", main=cli.main)
    assert done.returncode == 0, done.stderr
    assert shlex.join(asked(tmp_path / "out")[0][2]).count("--languages en,sw") == 1
    assert os.listdir(tmp_path / "out" / "checkpoints") != []
