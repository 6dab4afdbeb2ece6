"""The likelihood term on harmless prompts beside DPO's loss: its value and gradient, alone and with MLC."""

import pytest
import torch
from training import ROWS, assert_same_gradients, build, one_step

BENIGN = [place for place, row in enumerate(ROWS) if row["kind"] == "benign"]


def step(model, folder, name, accumulation=1, **settings):
    """Loss and gradients of one step over the four rows, dealt out over so many batches."""
    size = len(ROWS) // accumulation
    return one_step(build("dpo", model, folder, name, batch_size=size, accumulation=accumulation, **settings)[1])


def likelihood(prepared, trainer):
    """The term written plainly: each harmless row's chosen response alone, mean over its tokens; mean over all rows."""
    model, total = trainer.model, 0.0
    for place in BENIGN:
        row = trainer.train_dataset[place]
        start, answer = row["prompt_ids"], row["chosen_ids"]
        logits = model(torch.tensor([start + answer])).logits[0, len(start) - 1 : -1]
        total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(answer))
    return total / len(prepared.rows)


@pytest.mark.parametrize("mlc", [None, {}])
def test_loss_and_gradient_are_the_sum(tiny_model, tmp_path, mlc):
    plain_loss, plain = step(tiny_model, tmp_path, "plain", mlc=mlc)
    prepared, trainer = build("dpo", tiny_model, tmp_path, "alone", batch_size=4, accumulation=1)
    term = likelihood(prepared, trainer)
    term.backward()
    alone = {name: weight.grad for name, weight in trainer.model.named_parameters() if weight.grad is not None}
    loss, found = step(tiny_model, tmp_path, "both", mlc=mlc, sft_benign=0.5)
    assert loss == pytest.approx(plain_loss + 0.5 * term.item(), rel=1e-5)
    expected = {name: gradient + 0.5 * alone[name] if name in alone else gradient for name, gradient in plain.items()}
    assert_same_gradients(found, expected, 1e-4)


def test_it_is_dpo_with_mlc_where_its_weight_is_zero(tiny_model, tmp_path):
    plain_loss, plain = step(tiny_model, tmp_path, "plain", mlc={})
    loss, found = step(tiny_model, tmp_path, "zero", mlc={}, sft_benign=0)
    assert loss == plain_loss
    assert all(torch.equal(found[name], gradient) for name, gradient in plain.items())


def test_the_same_however_pairs_are_dealt_out(tiny_model, tmp_path):
    """Two of the four rows are harmless: dealt out singly, some batches have none."""
    whole = step(tiny_model, tmp_path, "whole", mlc={}, sft_benign=2.0)
    parts = step(tiny_model, tmp_path, "parts", accumulation=4, mlc={}, sft_benign=2.0)
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert_same_gradients(parts[1], whole[1], 1e-4)


def test_refusals_of_harmful_prompts_are_not_learnt_by_it(tiny_model, tmp_path):
    harmful = [row for row in ROWS if row["kind"] == "harmful"]
    settings = {"rows": harmful, "batch_size": 2, "accumulation": 1}
    plain = one_step(build("dpo", tiny_model, tmp_path, "plain", **settings)[1])
    found = one_step(build("dpo", tiny_model, tmp_path, "more", **settings, sft_benign=1.0)[1])
    assert found[0] == plain[0]
    assert_same_gradients(found[1], plain[1], 1e-7)


@pytest.mark.parametrize("method", ["dpo", "cosine", "translate-dpo"])
def test_the_name_and_the_log_say_so(tiny_model, tmp_path, method):
    rows = [row | {"responses": {"sw": {"chosen": "Ndiyo.", "rejected": "Hapana."}} if "sw" in row["prompts"] else {}}
            for row in ROWS]  # fmt: skip
    prepared, trainer = build(method, tiny_model, tmp_path, rows=rows, sft_benign=1.0, accumulation=4)
    trainer.train()
    assert prepared.label == f"{method}+sft-benign"
    assert any(entry.get("sft_benign", 0) > 0 for entry in trainer.state.log_history)
