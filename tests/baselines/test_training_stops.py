"""Training ends at the first value that is not finite: exit code 1, one line, no manifest, good checkpoints kept."""

import json
import shutil
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from training import trained_by_two, write_rows

from mlc_bench.baselines import cli, methods, run
from mlc_bench.baselines.mlc import mlc_loss
from mlc_bench.baselines.mlc.trainer import PromptLoss
from mlc_bench.core import processor


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """`train(method, model, *options)`: exit code and the last line on stderr, through the command line."""

    def command(method, model, *options):
        settings = ["--max-steps", "6", "--accumulation", "2", "--save-steps", "2", "--keep-out", "[]", "--warmup", "0"]
        data = ["--model", model, "--data", write_rows(tmp_path), "--output", tmp_path / "out", "--bf16", "false"]
        monkeypatch.setattr(sys, "argv", ["train-baseline", method, *map(str, [*data, *settings, *options])])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err.splitlines()[-1]

    return command


def poisoned(model, folder, value, name="model.norm.weight"):
    """A copy of the model of which one value of a weight is `value`."""
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    weights[name].view(-1)[0] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def assert_not_finished(out):
    assert not (out / "train_manifest.json").exists()
    assert not (out / "model.safetensors").exists()
    for checkpoint in out.glob("checkpoints/checkpoint-*"):
        assert all(weight.isfinite().all() for weight in load_file(checkpoint / "model.safetensors").values())
        assert json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("method", ["sft", "dpo", "simpo", "orpo"])
def test_weights_that_are_not_finite(method, value, train, tiny_model, tmp_path):
    code, line = train(method, poisoned(tiny_model, tmp_path / "model", value))
    assert code == 1
    assert line.startswith("error: the weights of ")
    assert "are not all finite" in line
    assert_not_finished(tmp_path / "out")


@pytest.mark.parametrize("options", [[], ["--mlc"], ["--lora"]], ids=["alone", "mlc", "lora"])
@pytest.mark.parametrize("rate", ["1e18", "1e39"], ids=["overflow in the next step", "weights not finite"])
def test_a_learning_rate_far_too_high(rate, options, train, tiny_model, tmp_path):
    """SimPO on weights that have grown beyond what a product of two can hold; or weights that are infinite at once."""
    code, line = train("simpo", tiny_model, "--learning-rate", rate, "--save-steps", "1", *options)
    assert code == 1
    assert "training stopped at step" in line
    assert f"the learning rate {float(rate):g} is too high" in line
    assert not (tmp_path / "out" / "train_manifest.json").exists()


def test_the_last_update_is_looked_at_too(train, tiny_model, tmp_path):
    code, line = train("sft", tiny_model, "--learning-rate", "1e39", "--max-steps", "1")
    assert (code, "its update left weights" in line or "last update left weights" in line) == (1, True)
    assert_not_finished(tmp_path / "out")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["loss", "gradient", "mlc"])
def test_a_value_that_is_not_finite_in_a_later_step(name, value, train, tiny_model, tmp_path, monkeypatch):
    """In the fourth step; the checkpoint of the second is kept, and named."""
    plain = PromptLoss.training_step

    def training_step(self, *args):
        loss = plain(self, *args)
        if self.state.global_step == 3 and name == "loss":
            return loss * value
        if self.state.global_step == 3 and name == "gradient":
            next(self.model.parameters()).grad[0, 0] = value
        return loss

    def auxiliary(self, group):
        found = mlc_loss.consistency(group)
        return found * value if name == "mlc" and self.state.global_step == 3 else found

    monkeypatch.setattr(PromptLoss, "training_step", training_step)
    monkeypatch.setattr(PromptLoss, "_loss", auxiliary)
    code, line = train("dpo", tiny_model, "--mlc", "--mlc.every", "1", "--mlc.kinds", "harmful")
    assert code == 1
    what = {"loss": "loss is", "gradient": "grad_norm is", "mlc": "mlc/loss is"}[name]
    assert f"training stopped at step 4: {what} " in line
    assert "likely the learning rate" in line
    assert ("mlc.tau" in line) == (name == "mlc")
    assert line.endswith(f"the last good checkpoint is {tmp_path / 'out' / 'checkpoints' / 'checkpoint-2'}")
    assert_not_finished(tmp_path / "out")
    assert run.last_checkpoint(tmp_path / "out" / "checkpoints").name == "checkpoint-2"


def test_representations_that_are_not_finite_give_a_loss_that_is_none():
    """torch raises an error for them, in the one process that has them."""
    rows = torch.full((1, 3, 4), float("nan"), requires_grad=True)
    group = mlc_loss.Group(rows, torch.ones(1, 3, dtype=torch.bool))
    for signed in (False, True):
        assert mlc_loss.consistency(group, signed=signed).isnan().all()
    assert mlc_loss.share(group).isnan().all()


@pytest.mark.parametrize(
    ("rate", "occupied", "code", "said"),
    [("1e18", False, 1, "training stopped at step"), ("1e-6", True, 2, "is not empty and holds no run")],
    ids=["not finite", "another's folder"],
)
def test_all_processes_stop(rate, occupied, code, said, tiny_model, tmp_path):
    """No process is left waiting for one that has stopped, and none has an error of its own for that."""
    if occupied:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "notes.txt").touch()
    options = ["--max-steps", "6", "--accumulation", "1", "--learning-rate", rate, "--warmup", "0", "--bf16", "false"]
    data = ["--model", tiny_model, "--data", write_rows(tmp_path), "--output", tmp_path / "out", "--keep-out", "[]"]
    done = trained_by_two("simpo", "--mlc", *options, *data)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors, done.stderr
    assert all(said in line for line in errors)
    assert f"exitcode: {code}" in done.stderr
    assert done.stderr.count("simpo+mlc: prepares") == (not occupied)  # one process speaks
    assert not (tmp_path / "out" / "train_manifest.json").exists()


def test_memory_is_released_after_each_step(tiny_model, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(processor, "release_memory", lambda: calls.append(1))
    values = {"model": str(tiny_model), "data": [str(write_rows(tmp_path))], "output": tmp_path / "out", "max_steps": 3}
    settings = methods.get("sft").Config.model_validate(values | {"bf16": False, "keep_out": []})
    run.execute(run.prepare("sft", settings))
    assert len(calls) == (0 if torch.cuda.is_available() else 3)
