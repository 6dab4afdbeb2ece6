"""The auxiliary loss over an optimizer step: the same however its rows are dealt out to micro-batches and processes."""

import pytest
import torch
import uneven_groups
from training import ROWS, assert_same_gradients, build, one_step, two_processes

from mlc_bench.baselines.mlc.hidden_states import EXTRACTOR
from mlc_bench.baselines.mlc.trainer import PromptLoss

TOLERANCE = 1e-6


def assert_equal_within(found, expected):
    """Every gradient, extractor and adapter included, to `TOLERANCE`; none where there is none."""
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(
            found[name], gradient, rtol=1e-4, atol=TOLERANCE, msg=lambda text, n=name: f"{n} {text}"
        )
    assert_same_gradients(found, expected, 1e-5)


@pytest.mark.parametrize(
    ("objective", "kinds", "lora"),
    [
        ("rank", "all", None),
        ("rank", "harmful", None),
        ("rank", "benign", None),
        ("rank", "harmful", {"r": 4}),
        ("cosine", "harmful", None),
        ("signed", "benign", {"r": 4}),
    ],
)
def test_four_accumulated_equal_one_batch_of_four(objective, kinds, lora, tiny_model, tmp_path):
    """`harmful`, `benign`: groups in some of the four micro-batches only."""
    settings = {"mlc": {"kinds": kinds, "objective": objective}, "lora": lora}
    (whole_loss, whole), (loss, parts) = (
        one_step(build("dpo", tiny_model, tmp_path, name, batch_size=size, accumulation=4 // size, **settings)[1])
        for name, size in (("whole", 4), ("parts", 1))
    )
    assert any(EXTRACTOR in name and gradient.any() for name, gradient in whole.items())
    assert loss == pytest.approx(whole_loss, rel=1e-5)
    assert_equal_within(parts, whole)


def test_a_last_step_of_fewer_micro_batches(tiny_model, tmp_path):
    """Six rows: the second step has two, as two micro-batches of four, or as one of two."""
    rows = [row | {"id": f"{row['id']}-{copy}"} for copy in range(2) for row in ROWS][:6]
    settings = {"mlc": {"kinds": "harmful", "every": 1}, "max_steps": 2, "rows": rows}
    two, four = (
        one_step(build("dpo", tiny_model, tmp_path, str(size), batch_size=size, accumulation=4 // size, **settings)[1])
        for size in (2, 1)
    )
    assert_equal_within(four[1], two[1])


def test_a_micro_batch_by_itself_is_a_step(tiny_model, tmp_path):
    """As benchmarks/train_step.py times them, one after another."""
    trainer = build("dpo", tiny_model, tmp_path, mlc={"kinds": "harmful"}, accumulation=1)[1]
    trainer.current_gradient_accumulation_steps = 1
    losses = [float(trainer.training_step(trainer.model, dict(batch))) for batch in trainer.get_train_dataloader()]
    plain = float(torch.log(torch.tensor(2.0)))  # DPO's own loss before the first update
    assert sorted(loss > plain + 1e-3 for loss in losses) == [False, False, True, True]


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_no_group_in_a_step_leaves_the_extractor_alone(sharded, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(PromptLoss, "_is_sharded", lambda self: sharded)
    benign = [row | {"kind": "benign"} for row in ROWS]
    settings = {"mlc": {"kinds": "harmful"}, "rows": benign}
    assert not any(EXTRACTOR in name for name in one_step(build("dpo", tiny_model, tmp_path, **settings)[1])[1])


def test_a_placeholder_changes_no_gradient(tiny_model, tmp_path, monkeypatch):
    """What a process reads while another has groups, where the model is sharded: the same passes, gradients of zero."""
    settings = {"mlc": {"kinds": "harmful"}}
    plain = one_step(build("dpo", tiny_model, tmp_path, "plain", **settings)[1])
    monkeypatch.setattr(PromptLoss, "_is_sharded", lambda self: True)
    counted = PromptLoss.get_batch_samples

    def as_if_others_had_groups(self, *args):
        found = counted(self, *args)
        self._groups = [count or 1e-9 for count in self._groups]  # so few that the mean is as it was
        return found

    monkeypatch.setattr(PromptLoss, "get_batch_samples", as_if_others_had_groups)
    padded = one_step(build("dpo", tiny_model, tmp_path, "padded", **settings)[1])
    assert padded[0] == pytest.approx(plain[0], rel=1e-6)
    assert_same_gradients(padded[1], plain[1], 1e-5)


@pytest.mark.parametrize("method", ["dpo", "mpo"])
def test_two_processes_of_which_one_has_groups(method, tiny_model, tmp_path):
    """No hang; logged means and gradients are those of one process."""
    done = two_processes("uneven_groups.py", method, tiny_model, tmp_path)
    assert done.returncode == 0, done.stderr
    found, logged = torch.load(tmp_path / "found.pt")
    expected, figures = uneven_groups.train(method, tiny_model, tmp_path, 4)
    assert ["mlc/loss" in entry for entry in figures] == [True, False, True]
    own = {"dpo": [], "mpo": ["mpo/gap_loss", "mpo/state_loss", "mpo/dominant_gap"]}[method]
    shared = ["loss", "grad_norm", "mlc/loss", "mlc/sigma1_share", "mlc/cosine_sw", "mlc/cosine_ps", "tokens"]
    for name in (*shared, "rewards/margins", *own):
        ours, alone = ([entry.get(name) for entry in entries] for entries in (logged, figures))
        assert [one is None for one in ours] == [one is None for one in alone], name
        assert list(filter(None, ours)) == pytest.approx(list(filter(None, alone)), rel=1e-4, abs=1e-6), name
    for mine, theirs in zip(found, expected, strict=True):
        assert_equal_within(mine, theirs)


@pytest.mark.integration
def test_a_sharded_model_of_which_one_process_has_groups(tiny_model):
    done = two_processes("uneven_shards.py", tiny_model, 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal") == 2
