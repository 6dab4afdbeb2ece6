"""Training runs as a whole: what they leave behind, going on after a kill, a committed trajectory, bad input."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from checkout import GOLDEN
from safetensors.torch import load_file
from training import ROWS, build, killed_at, trained_by_two, two_processes, write_rows

from mlc_bench.baselines import config, methods, run
from mlc_bench.baselines.data import training_data
from mlc_bench.core.errors import UserError

LOSSES = GOLDEN / "training_losses.json"
TRAIN = str(Path(sys.executable).with_name("train-baseline"))
FAST = {"learning_rate": 1e-3, "max_steps": 6, "accumulation": 2, "save_steps": 2, "bf16": False, "keep_out": []}
LOGGED = {"report_to": ["tensorboard"]}


def prepare(method, model, folder, name="out", rows=ROWS, **settings):
    values = {"model": str(model), "data": [str(write_rows(folder, rows))], "output": folder / name}
    return run.prepare(method, methods.get(method).Config.model_validate(values | FAST | settings))


def losses(folder):
    """The logged losses by step, from the events that TensorBoard reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "logs"))
    events.Reload()
    return {event.step: event.value for event in events.Scalars("train/loss")}


def weights(folder):
    return {name: w for path in folder.rglob("*.safetensors") for name, w in load_file(path).items()}


def check_what_a_run_leaves_behind(out, manifest, lora):
    expected = {"adapter_model.safetensors", "adapter_config.json"} if lora else {"model.safetensors", "config.json"}
    expected |= {"mlc_extractor", "train_manifest.json", "training.png", "chat_template.jinja", "logs"}
    names = {path.name for path in out.iterdir()}
    assert expected <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert not {"checkpoints", "data"} & names
    assert json.loads((out / "train_manifest.json").read_text()) == manifest
    assert manifest["method"] == "dpo+mlc"
    assert (manifest["steps"], manifest["seed"], manifest["data"]["rows"]) == (6, 42, 4)
    assert 0 < manifest["mlc_tokens"] < manifest["tokens"]
    assert set(manifest["data"]["languages"]) > {"en"}  # MLC reads the translations too
    assert manifest["peak_memory_bytes"] > 0
    assert manifest["final_loss"] == pytest.approx(losses(out)[6], rel=1e-5)
    assert set(load_file(out / "mlc_extractor/weights.safetensors")) == {"weight", "bias"}
    model = "adapter_model.safetensors" if lora else "model.safetensors"
    assert not [name for name in load_file(out / model) if "mlc" in name]
    assert lora or json.loads((out / "config.json").read_text())["use_cache"]


def test_a_finished_run_is_not_trained_again(tiny_model, tmp_path):
    first = run.execute(prepare("sft", tiny_model, tmp_path))
    changed = (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns
    assert run.execute(prepare("sft", tiny_model, tmp_path)) == first
    assert (tmp_path / "out" / "model.safetensors").stat().st_mtime_ns == changed


@pytest.mark.parametrize("lora", [None, {"r": 4}], ids=["full", "lora"])
def test_a_run_and_one_that_was_killed_and_went_on(lora, tiny_model, tmp_path, monkeypatch):
    """Killed in step 4, with a checkpoint of step 4 half written: goes on from step 2, to the same weights."""
    manifest = run.execute(prepare("dpo", tiny_model, tmp_path, "whole", mlc={}, lora=lora, **LOGGED))
    check_what_a_run_leaves_behind(tmp_path / "whole", manifest, lora)

    killed_at(4, prepare("dpo", tiny_model, tmp_path, "killed", mlc={}, lora=lora, **LOGGED), monkeypatch)
    kept = tmp_path / "killed" / "checkpoints" / "checkpoint-2"
    newest = max(kept.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "trainer_state.json"  # the last file written, by which `last_checkpoint` knows a whole one
    half = tmp_path / "killed" / "checkpoints" / "checkpoint-4"
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_step": 4, ')
    assert run.last_checkpoint(half.parent).name == "checkpoint-2"
    manifest = run.execute(prepare("dpo", tiny_model, tmp_path, "killed", mlc={}, lora=lora, **LOGGED))
    assert manifest["steps"] == 6
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, rtol=1e-6, atol=1e-7)
    assert losses(tmp_path / "killed")[6] == pytest.approx(losses(tmp_path / "whole")[6], rel=1e-6)


@pytest.mark.parametrize("method", ["dpo", "simpo", "orpo", "sft", "cosine"])
def test_the_committed_trajectory(method, tiny_model, tmp_path):
    """Losses of six steps on the pinned tiny model; after an intended change, write the file anew and say why."""
    trainer = build(method, tiny_model, tmp_path, mlc={}, **(FAST | {"max_grad_norm": 1.0}))[1]
    trainer.train()
    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    if os.environ.get("WRITE_GOLDEN"):
        known = json.loads(LOSSES.read_text()) if LOSSES.is_file() else {}
        LOSSES.write_text(json.dumps(known | {method: [round(loss, 6) for loss in found]}, indent=1) + "\n")
    assert found == pytest.approx(json.loads(LOSSES.read_text())[method], rel=2e-4)


def test_auxiliary_loss_only_on_its_steps_and_never_in_evaluation(tiny_model, tmp_path):
    _, trainer = build("sft", tiny_model, tmp_path, mlc={"every": 3}, max_steps=7, accumulation=1)
    trainer.train()
    with_it = [entry["step"] for entry in trainer.state.log_history if "mlc/loss" in entry]
    assert with_it == [1, 4, 7]
    evaluated = trainer.evaluate(trainer.train_dataset)
    _, plain = build("sft", tiny_model, tmp_path, "plain", accumulation=1)
    assert evaluated["eval_loss"] == pytest.approx(plain.evaluate(plain.train_dataset)["eval_loss"], rel=1e-5)


def test_which_prompts_form_the_groups(tiny_model, tmp_path):
    besides = tmp_path / "besides"
    besides.mkdir()
    extra = [{"id": str(i), "prompts": {"en": f"Hello {i}", "th": "สวัสดี"}, "kind": "benign"} for i in range(2)]
    given = {"kinds": "harmful", "besides": [str(write_rows(besides, extra))]}
    _, trainer = build("sft", tiny_model, tmp_path, mlc=given)
    rows = trainer.train_dataset
    assert [max(row["mlc_group"]) + 1 for row in rows] == [2, 1, 1, 2]
    assert all(row["mlc_language"][-2:] == ["en", "th"] for row in rows)
    assert rows[1]["mlc_language"] == ["en", "th"]


CASES = {
    "one language": (
        {"mlc": {}, "rows": [{**row, "prompts": {"en": row["prompts"]["en"]}} for row in ROWS]},
        "'en' only",
    ),
    "no such layer": ({"mlc": {"layer": 3}}, "layers 1 to 2"),
    "reference of another family": ({"reference": "other"}, "another tokenizer"),
    "no chat template": ({"model": "mute"}, "no chat template"),
    "an empty response": ({"rows": [{**ROWS[0], "chosen": " "}]}, "row 1.*'chosen'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line(case, tiny_model, tmp_path):
    import shutil

    settings, message = CASES[case]
    settings = dict(settings)
    if settings.get("reference") or settings.get("model"):
        other = tmp_path / "another"
        shutil.copytree(tiny_model, other)
        if "model" in settings:
            (other / "chat_template.jinja").unlink()
        else:
            text = (other / "tokenizer.json").read_text()
            (other / "tokenizer.json").write_text(text.replace("<|system|>", "<|sys|>"))
        settings["model" if "model" in settings else "reference"] = str(other)
    model = settings.pop("model", tiny_model)
    with pytest.raises(UserError, match=message) as error:
        build("dpo", model, tmp_path, **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mlc.tau", "0"], "mlc.tau 0: .*greater than 0"),
        (["--mlc.centre", "true"], "unknown setting 'mlc.centre'; did you mean mlc.center"),
        (["--mlc.center"], "batch_size 2 or more"),
        (["--epochs", "many"], "epochs many: .*number"),
        (["epochs=3"], "--key value"),
        (["--beta"], "--beta needs a value"),
    ],
)
def test_bad_settings_are_one_line(options, message):
    with pytest.raises(UserError, match=message) as error:
        config.load(methods.get("dpo").Config, None, ["--model", "x", "--output", "y", *options])
    assert "\n" not in str(error.value)


def test_settings_from_a_file_and_from_options(tmp_path):
    file = tmp_path / "dpo.yaml"
    file.write_text("model: demo-tiny\noutput: out\nbeta: 0.3\nmlc:\n  tau: 0.1\n  layer: 0.5\n")
    kind = methods.get("dpo").Config
    found = config.load(kind, file, ["--learning-rate", "6e-7", "--mlc.every=4", "--data", "a.jsonl,b.jsonl", "--lora"])
    assert (found.beta, found.learning_rate, found.data) == (0.3, 6e-7, ["a.jsonl", "b.jsonl"])
    assert (found.mlc.tau, found.mlc.layer, found.mlc.every, found.mlc.weight) == (0.1, 0.5, 4, 0.8)
    assert found.lora.r == 16
    assert config.load(kind, file, ["--mlc"]).mlc.tau == 0.1
    assert config.load(kind, file, ["--mlc", "false"]).mlc is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="sharding works here")
@pytest.mark.parametrize("name", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_sharding_on_a_cpu_is_refused(name, tiny_model, tmp_path, monkeypatch):
    """accelerate would shard nothing there, and TRL would take reference log-probabilities from an unloaded model."""
    monkeypatch.setenv(name, "true")
    with pytest.raises(UserError, match="on GPUs only"):
        prepare("dpo", tiny_model, tmp_path)


def test_an_output_folder_with_another_run_is_refused(tiny_model, tmp_path):
    prepare("dpo", tiny_model, tmp_path, mlc={})
    with pytest.raises(UserError, match="differs in learning_rate, mlc"):
        prepare("dpo", tiny_model, tmp_path, learning_rate=1e-2)
    with pytest.raises(UserError, match="holds no run"):
        prepare("dpo", tiny_model, tmp_path, ".")


def command(model, folder, name, *options):
    settings = ["--max-steps", "6", "--accumulation", "2", "--learning-rate", "1e-3", "--save-steps", "2"]
    data = ["--model", model, "--data", write_rows(folder), "--output", folder / name]
    return [*map(str, ["dpo", *data, *settings, *options])]


@pytest.mark.integration
def test_sigkill_and_the_same_command_again(tiny_model, tmp_path):
    arguments = command(tiny_model, tmp_path, "whole", "--mlc", "--max-steps", "40")
    subprocess.run([TRAIN, *arguments], check=True, capture_output=True)
    again = command(tiny_model, tmp_path, "killed", "--mlc", "--max-steps", "40")
    kills = 0
    for steps in (3, 11, 23):
        process = subprocess.Popen([TRAIN, *again], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        checkpoints = tmp_path / "killed" / "checkpoints"
        while process.poll() is None and not any(
            int(path.name.split("-")[1]) >= steps for path in checkpoints.glob("checkpoint-*")
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 1
    subprocess.run([TRAIN, *again], check=True, capture_output=True)
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    for name, weight in whole.items():
        torch.testing.assert_close(killed[name], weight, rtol=1e-5, atol=1e-6)
    manifests = [json.loads((tmp_path / name / "train_manifest.json").read_text()) for name in ("whole", "killed")]
    assert manifests[0]["final_loss"] == pytest.approx(manifests[1]["final_loss"], rel=1e-5)


@pytest.mark.integration
def test_two_processes_give_the_loss_of_one(tiny_model, tmp_path):
    """DDP with gloo; all four rows in each step, since the processes draw another order after the first epoch."""
    one = command(tiny_model, tmp_path, "one", "--mlc", "--accumulation", "4", "--report-to", "tensorboard")
    subprocess.run([TRAIN, *one], check=True, capture_output=True)
    two = command(tiny_model, tmp_path, "two", "--mlc", "--accumulation", "2", "--report-to", "tensorboard")
    done = trained_by_two(*two)
    assert done.returncode == 0, done.stderr
    single, double = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert single.keys() == double.keys()
    assert list(double.values()) == pytest.approx(list(single.values()), rel=1e-4)
    for name, weight in weights(tmp_path / "one").items():
        torch.testing.assert_close(weights(tmp_path / "two")[name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.integration
def test_two_processes_take_one_output_folder(tmp_path):
    """The second finds no half-written claim of the first, which it would take for somebody else's folder."""
    done = two_processes("slow_claim.py", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("claimed") == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train_run.json"]


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["fsdp", "zero2", "zero3"])
def test_sharded_gradients_equal_those_of_one_process(kind, tiny_model):
    if kind != "fsdp":
        pytest.importorskip("deepspeed")
    done = two_processes("sharded_step.py", kind, tiny_model, 1, env=os.environ | {"DS_ACCELERATOR": "cpu"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal") == 2


@pytest.mark.integration
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_the_demo_model_is_trained_and_scored(lora, tmp_path):
    """Two steps on embedded rows; the harness then scores what they leave behind, and its record says how.

    Each kind by one engine: vLLM with adapters is tested in tests/engines/test_adapters.py.
    """
    from mlc_bench.engines import demo_models

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLC_BENCH_CACHE", raising=False)  # the user's own, where the model is converted once
        try:
            base = demo_models.folder("demo-tiny")
        except UserError as error:
            pytest.skip(str(error))
    out = tmp_path / "out"
    embedded = [row for row in training_data.load(["embedded"]).rows if len(row["prompts"]["en"]) < 60]
    rows = write_rows(tmp_path, embedded[:2] + embedded[-2:])
    options = ["--model", base, "--data", rows, "--output", out, "--mlc", "--max-steps", "2", "--accumulation", "2"]
    options += ["--learning-rate", "1e-4", "--lora"] if lora else ["--learning-rate", "1e-6"]
    done = subprocess.run([TRAIN, "dpo", *map(str, options)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    named = ["--model", base, "--adapter", out] if lora else ["--model", out]
    asked = ["--tasks", "starter_harmful", "--languages", "en,sw", "--limit", "2", "--max-tokens", "8", "--json"]
    engine = "vllm" if importlib.util.find_spec("vllm") and not lora else "hf"
    command = [Path(TRAIN).with_name("mlc-bench"), "run", *named, "--engine", engine, *asked]
    scored = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert scored.returncode == 0, scored.stderr[-2000:]
    (record,) = json.loads(scored.stdout)
    assert record["model"]["training"]["method"] == "dpo+mlc"
    assert record["model"]["training"]["steps"] == 2
