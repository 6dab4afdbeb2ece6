"""A training run that goes on: only where it is made of what it was made of, and after a signal as after nothing."""

import json
import shlex
import shutil
import signal
import subprocess
import sys

import helpers
import pytest
import signals
import torch
from test_training_runs import command, prepare, weights
from training import write_rows

from mlc_bench.baselines import cli, config, methods, run


def _tokenizer(folder, model):
    path = model / "chat_template.jinja"
    path.write_text("{# of another day #}" + path.read_text())


def _edit(path):
    path.write_text(path.read_text().replace("rain", "snow"))


# what is edited after a run was claimed, and what the line says that differs
EDITS = {
    "a row of the data": (lambda folder, model, other: _edit(folder / "rows.jsonl"), "data"),
    "a row of the groups besides": (lambda folder, model, other: _edit(folder / "besides.jsonl"), "mlc.besides"),
    "the chat template": (lambda folder, model, other: _tokenizer(folder, model), "tokenizer"),
    "the weights": (
        lambda folder, model, other: shutil.copy(other / "model.safetensors", model / "model.safetensors"), "weights",
    ),
    "the reference model": (
        lambda folder, model, other: shutil.copy(other / "model.safetensors", folder / "reference/model.safetensors"),
        "reference",
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_finished", [False, True])
@pytest.mark.parametrize("name", EDITS)
def test_what_a_run_was_made_of_has_changed(name, is_finished, tiny_model, other_tiny_model, tmp_path):
    edit, differs = EDITS[name]
    model, reference = (shutil.copytree(tiny_model, tmp_path / part) for part in ("model", "reference"))
    besides = tmp_path / "besides.jsonl"
    besides.write_text(write_rows(tmp_path).read_text().replace('"id": "', '"id": "b-'))
    arguments = [
        "dpo", "--model", model, "--reference", reference, "--data", tmp_path / "rows.jsonl", "--mlc",
        "--mlc.besides", besides, "--output", tmp_path / "out", "--max-steps", "1", "--keep-out", "[]",
    ]  # fmt: skip
    if is_finished:
        done = helpers.command(*arguments, main=cli.main)
        assert done.returncode == 0, done.stderr
        assert helpers.command(*arguments, main=cli.main).returncode == 0, "the same again is finished already"
    else:
        chosen = config.load(methods.get("dpo").Config, None, [str(one) for one in arguments[1:]])
        run.prepare("dpo", chosen)
        run.prepare("dpo", chosen)
    edit(tmp_path, model, other_tiny_model)
    helpers.check_failed(
        helpers.command(*arguments, main=cli.main), 2, f"holds another run (it differs in {differs});", "--output"
    )


def test_a_claim_of_an_earlier_version_says_less(tiny_model, tmp_path):
    prepare("dpo", tiny_model, tmp_path)
    path = tmp_path / "out" / "train_run.json"
    claim = json.loads(path.read_text())
    del claim["config"]["sft_benign"]  # a setting that it did not have
    path.write_text(json.dumps({key: claim[key] for key in ("method", "config", "weights", "data")}))
    prepare("dpo", tiny_model, tmp_path)
    with pytest.raises(run.UsageError, match="differs in sft_benign"):
        prepare("dpo", tiny_model, tmp_path, sft_benign=1.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("after", ["nothing", "a checkpoint"])
def test_a_signal_while_it_trains(number, after, tiny_model, tmp_path):
    """The last checkpoint is kept, the last line has the command to go on, and that one comes to the same weights."""
    arguments = [*command(tiny_model, tmp_path, "out"), "--max-steps", "5"]
    script = f"""
import os, sys
from mlc_bench.baselines import cli, run
class Watch(run.Watch):
    def on_log(self, args, state, control, **kwargs):
        super().on_log(args, state, control, **kwargs)
        if state.global_step == {1 if after == "nothing" else 3}:
            os.kill(os.getpid(), {int(number)})
run.Watch = Watch
sys.argv = ["train-baseline", *{arguments!r}]
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, preexec_fn=signals.reset)
    assert done.returncode == 128 + number, done.stderr
    assert done.stdout == ""
    *_, kept, last = done.stderr.splitlines()
    assert last.startswith("interrupted; the same command goes on where this one stopped: train-baseline dpo ")
    checkpoint = tmp_path / "out" / "checkpoints" / "checkpoint-2"
    if after == "nothing":
        assert kept == "there is no checkpoint yet, there is one every 2 steps (--save-steps)"
    else:
        assert kept == f"{checkpoint} is kept"
        assert checkpoint.is_dir()
    finished = helpers.command(*shlex.split(last.partition(": train-baseline ")[2]), main=cli.main)
    assert finished.returncode == 0, finished.stderr
    assert (f"goes on from {checkpoint}" in finished.stderr) is (after == "a checkpoint")
    whole = helpers.command(*command(tiny_model, tmp_path, "whole"), "--max-steps", "5", main=cli.main)
    assert whole.returncode == 0, whole.stderr
    ours = weights(tmp_path / "out")
    for name, weight in weights(tmp_path / "whole").items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-5, atol=1e-6)
