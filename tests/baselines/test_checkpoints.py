"""Checkpoints that stay: each a model with a manifest, and nothing that only training reads."""

import json

import pytest
import torch
from safetensors.torch import load_file
from test_training_runs import prepare, weights
from training import killed_at

from mlc_bench.baselines import checkpoints, config, methods, run
from mlc_bench.baselines.check import estimate
from mlc_bench.core.errors import UsageError, UserError
from mlc_bench.core.spec import RunSpec
from mlc_bench.engines import identity

EVERY = {"save_steps": 1, "max_steps": 5}
LORA = {"lora": {"r": 4}, "learning_rate": 1e-2}


def settings(*options):
    return config.load(methods.get("dpo").Config, None, ["--model", "m", "--output", "o", *options])


def names(folder):
    return sorted(path.name for path in folder.glob("checkpoints/checkpoint-*"))


def states(folder):
    """The checkpoints that training could go on from."""
    return sorted(path.parent.name for path in folder.glob("checkpoints/*/optimizer.pt"))


@pytest.mark.parametrize(("keep", "left"), [(0, []), (1, [5]), (3, [3, 4, 5]), ("all", [1, 2, 3, 4, 5])])
def test_what_stays_after_training(keep, left, tiny_model, tmp_path):
    run.execute(prepare("sft", tiny_model, tmp_path, keep_checkpoints=keep, **EVERY))
    assert names(tmp_path / "out") == [f"checkpoint-{step}" for step in left]
    files = {path.name for path in (tmp_path / "out" / "checkpoints").rglob("*")}
    assert not [name for name in files if name.endswith((".pt", ".pth", ".bin")) or name == "trainer_state.json"]


def test_what_is_there_while_it_trains(tiny_model, tmp_path, monkeypatch):
    """All are kept, and the last two can be resumed from."""
    seen = []

    class Seen(run.Watch):
        def on_step_begin(self, args, state, control, **kwargs):
            super().on_step_begin(args, state, control, **kwargs)
            seen.append((len(names(tmp_path / "out")), states(tmp_path / "out")))

    monkeypatch.setattr(run, "Watch", Seen)
    run.execute(prepare("sft", tiny_model, tmp_path, keep_checkpoints="all", **EVERY))
    assert [count for count, _ in seen] == [0, 1, 2, 3, 4]
    assert seen[4][1] == ["checkpoint-3", "checkpoint-4"]


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_a_checkpoint_says_what_it_is(lora, tiny_model, tmp_path):
    """Base, method, run and step reach the identity of what is scored; the last one is the result."""
    more = LORA if lora else {}
    made = run.execute(prepare("dpo", tiny_model, tmp_path, mlc={}, keep_checkpoints="all", **EVERY, **more))
    for step in (2, 5):
        folder = tmp_path / "out" / "checkpoints" / f"checkpoint-{step}"
        place = {"model": str(tiny_model), "adapter": str(folder)} if lora else {"model": str(folder)}
        found = identity.resolve(RunSpec(engine="hf", tasks=(), **place))
        training = found.training
        assert (training["step"], training["steps"], training["method"]) == (step, step, "dpo+mlc")
        assert training["run"] == made["run"]
        assert training["base_model"] == made["base_model"]
        assert (step == 5) == (training["final_loss"] == made["final_loss"])
    assert "step" not in made
    name = "adapter_model.safetensors" if lora else "model.safetensors"
    last = load_file(folder / name)
    for key, weight in load_file(tmp_path / "out" / name).items():
        torch.testing.assert_close(last[key], weight)
    if not lora:
        result = identity.resolve(RunSpec(engine="hf", tasks=(), model=str(tmp_path / "out")))
        assert found.config_digest == result.config_digest  # it answers with the cache, as the result does
        assert found.fingerprint == result.fingerprint


def test_other_settings_or_data_are_another_run(tiny_model, tmp_path):
    first = prepare("sft", tiny_model, tmp_path)
    assert prepare("sft", tiny_model, tmp_path, keep_checkpoints=3, save_steps=4).id == first.id
    assert prepare("sft", tiny_model, tmp_path, "again").id == first.id
    assert prepare("sft", tiny_model, tmp_path, "other", seed=1).id != first.id


@pytest.mark.parametrize("more", [{}, LORA], ids=["full", "lora"])
def test_killed_and_gone_on_with_checkpoints_that_stay(more, tiny_model, tmp_path, monkeypatch):
    """Every checkpoint, and the result, are those of a run that was not killed."""
    kept = {"keep_checkpoints": "all", "save_steps": 1, "max_steps": 5, **more}
    run.execute(prepare("dpo", tiny_model, tmp_path, "whole", **kept))

    killed_at(4, prepare("dpo", tiny_model, tmp_path, "killed", **kept), monkeypatch)
    killed = tmp_path / "killed" / "checkpoints"
    assert checkpoints.last_checkpoint(killed).name == "checkpoint-3"
    half = killed / "checkpoint-4"  # written halfway when the process ended
    half.mkdir()
    (half / "adapter_config.json").write_text("{")
    run.execute(prepare("dpo", tiny_model, tmp_path, "killed", **kept))
    whole, ours = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    for name, weight in whole.items():
        torch.testing.assert_close(ours[name], weight, rtol=1e-6, atol=1e-7)
    for step in range(1, 6):
        name = "adapter_model.safetensors" if more else "model.safetensors"
        pair = [tmp_path / run_ / "checkpoints" / f"checkpoint-{step}" / name for run_ in ("whole", "killed")]
        first, second = map(load_file, pair)
        for key, weight in first.items():
            torch.testing.assert_close(second[key], weight, rtol=1e-6, atol=1e-7)


def test_an_older_checkpoint_is_never_gone_on_from(tiny_model, tmp_path, monkeypatch):
    """Without the optimizer's state training would go on, and come to other weights."""

    class Killed(run.Watch):
        def on_step_begin(self, args, state, control, **kwargs):
            super().on_step_begin(args, state, control, **kwargs)
            if state.global_step == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(run, "Watch", Killed)
    with pytest.raises(KeyboardInterrupt):
        run.execute(prepare("sft", tiny_model, tmp_path, keep_checkpoints="all", **EVERY))
    folder = tmp_path / "out" / "checkpoints"
    assert states(tmp_path / "out") == ["checkpoint-2", "checkpoint-3"]
    for name in ("checkpoint-2", "checkpoint-3"):
        (folder / name / "trainer_state.json").unlink()
    assert checkpoints.last_checkpoint(folder) is None


def test_shards_are_no_checkpoints_to_keep():
    for option in (["--keep-checkpoints", "2"], ["--score-every", "50"]):
        with pytest.raises(UsageError, match="in shards, which nothing scores"):
            checkpoints.require_whole(settings(*option), processes=1, is_sharded=True)
    checkpoints.require_whole(settings(), processes=8, is_sharded=True)
    checkpoints.require_whole(settings("--keep-checkpoints", "all"), processes=8, is_sharded=False)
    with pytest.raises(UsageError, match="trains with one process"):
        checkpoints.require_whole(settings("--score-every", "50"), processes=2, is_sharded=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--keep-checkpoints", "-1"], "keep_checkpoints"),
        (["--keep-checkpoints", "some"], "keep_checkpoints some: .*'all'"),
        (["--score-every", "20"], "score_every 20 is no multiple of save_steps 50, .*--save-steps 20"),
        (["--score-languages", "en"], "score_languages goes with score_every"),
        (["--score-max-tokens", "48"], "score_max_tokens goes with score_every"),
        (["--report-to", "mlflow"], "report_to mlflow"),
        (["--report-to", "none,wandb"], "'none' stands alone"),
    ],
)
def test_bad_settings_are_one_line(options, message):
    with pytest.raises(UserError, match=message) as error:
        settings(*options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "given",
    [{"epochs": 3}, {"epochs": 2.5, "accumulation": 3}, {"batch_size": 3, "accumulation": 1}, {"accumulation": 8}],
)
def test_steps_are_those_that_training_takes(given, tiny_model, tmp_path):
    made = run.execute(prepare("sft", tiny_model, tmp_path, **({"max_steps": None} | given)))
    shared = {"model": "m", "output": "o", "accumulation": 2} | given
    assert estimate.steps(config.TrainConfig(**shared), rows=4) == made["steps"]


def test_disk_for_checkpoints_that_stay(tiny_model, tmp_path):
    """Whole ones, two and a third while it is written; none that a short run never writes."""
    from transformers import AutoConfig

    shape = AutoConfig.from_pretrained(tiny_model)
    chosen = config.TrainConfig(model="m", output="o", keep_checkpoints="all", save_steps=1, dtype="float32")
    assert [estimate.checkpoints(chosen, 5), estimate.checkpoints(settings("--keep-checkpoints", "3"), 500)] == [5, 3]
    unknown, one, two, five = (estimate.need(shape, chosen, 100, 0, steps=count).disk for count in (0, 1, 2, 5))
    parameters = estimate.need(shape, chosen, 100, 0).parameters
    whole, weights_only = 16 * parameters, 4 * parameters
    assert [two - one, unknown - two, five - unknown] == [whole, whole, 3 * weights_only]
    run.execute(prepare("sft", tiny_model, tmp_path, keep_checkpoints="all", **EVERY))
    used = sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.safetensors"))
    assert used <= five


def test_a_manifest_is_there_before_the_file_that_completes_a_checkpoint(tiny_model, tmp_path, monkeypatch):
    """A kill between the two leaves no whole checkpoint without a manifest."""
    order = []
    real = checkpoints.write_text

    def noted(path, text):
        order.append((path.name, (path.parent / "trainer_state.json").exists()))
        real(path, text)

    monkeypatch.setattr(checkpoints, "write_text", noted)
    run.execute(prepare("sft", tiny_model, tmp_path, keep_checkpoints=1, save_steps=3, max_steps=3))
    assert order == [("config.json", False), ("train_manifest.json", False)]
    manifest = json.loads((tmp_path / "out/checkpoints/checkpoint-3/train_manifest.json").read_text())
    assert manifest["step"] == 3
