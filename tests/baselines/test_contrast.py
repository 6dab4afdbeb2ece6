"""Contrast MLC and languages drawn anew: worked values, gradients, equality with MLC where they ask for nothing."""

import pytest
import torch
from training import ROWS, assert_same_gradients, build, killed_at, one_step

from mlc_bench.baselines import run
from mlc_bench.baselines.mlc import contrast
from mlc_bench.baselines.mlc.prompt_groups import Prompts, of_rows

PAIRED = [
    row | {"partner": partner} for row, partner in zip(ROWS, ("bread", "lock", "hurt", "rain"), strict=True)
]  # lock and bread share en and sw; rain is in English only
CODES = [f"x{number}" for number in range(14)]


def pairs(*rows):
    return torch.tensor(rows, dtype=torch.long).reshape(-1, 5)


def test_worked_values():
    """English separates the pair along the first axis by two; the others along it by two, one, nothing and the wrong
    way round."""
    english, harmless = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([-1.0, 0.0, 0.0])
    middle = torch.tensor([0.0, 1.0, 0.0])
    rows = torch.stack([english, harmless, english, harmless, middle, harmless, middle, middle, harmless, english])
    each = [contrast.separation(rows, pairs((i, i + 1, 0, 1, 0)), 1).item() for i in (2, 4, 6, 8)]
    assert each == pytest.approx([0, 2, 4, 8])
    both = contrast.separation(rows, pairs((2, 3, 0, 1, 1), (6, 7, 0, 1, 1)), 3)
    assert both.tolist() == pytest.approx([0, 2, 0]), "a mean over languages; nothing for groups without a partner"


def test_length_and_order_of_a_pair_do_not_matter():
    rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    one = contrast.separation(rows, pairs((0, 1, 2, 3, 0)), 1)
    longer = contrast.separation(rows * torch.tensor([[3.0], [0.1], [5.0], [1.0]]), pairs((0, 1, 2, 3, 0)), 1)
    swapped = contrast.separation(rows, pairs((1, 0, 3, 2, 0)), 1)
    assert one.item() > 0
    torch.testing.assert_close(one, longer)
    torch.testing.assert_close(one, swapped)


def test_gradients():
    generator = torch.Generator().manual_seed(1)
    english = torch.randn(2, 6, dtype=torch.float64, generator=generator)
    others = torch.randn(4, 6, dtype=torch.float64, generator=generator, requires_grad=True)

    def loss(others):
        return contrast.separation(torch.cat([english, others]), pairs((2, 3, 0, 1, 0), (4, 5, 0, 1, 1)), 2)

    assert (loss(others) > 0).all()
    assert torch.autograd.gradcheck(loss, others)
    rows = torch.cat([english, others.detach()]).requires_grad_()
    contrast.separation(rows, pairs((2, 3, 0, 1, 0), (4, 5, 0, 1, 1)), 2).sum().backward()
    assert not rows.grad[:2].any(), "English is the anchor"
    assert rows.grad[2:].any(dim=1).all()


def test_a_pair_that_english_does_not_separate_asks_for_nothing():
    same = torch.ones(1, 5)
    rows = torch.cat([same, same, torch.randn(2, 5)]).requires_grad_()
    loss = contrast.separation(rows, pairs((2, 3, 0, 1, 0)), 1).sum()
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(rows.grad).all()


def gradients(tiny_model, folder, name, rows=PAIRED, accumulation=1, **mlc):
    size = len(rows) // accumulation
    return one_step(
        build("dpo", tiny_model, folder, name, rows=rows, batch_size=size, accumulation=accumulation, mlc=mlc)[1]
    )


def test_it_is_mlc_where_its_weight_is_zero(tiny_model, tmp_path):
    rank = gradients(tiny_model, tmp_path, "rank")
    zero = gradients(tiny_model, tmp_path, "zero", objective="contrast", contrast=0)
    some = gradients(tiny_model, tmp_path, "some", objective="contrast")
    assert zero[0] == rank[0]
    assert_same_gradients(zero[1], rank[1], 1e-12)
    assert some[0] > rank[0]


def test_the_same_however_rows_are_dealt_out(tiny_model, tmp_path):
    """The partner of a row may be in another micro-batch: its prompts come with the row."""
    settings = {"objective": "contrast", "sample": 1}
    whole = gradients(tiny_model, tmp_path, "whole", **settings)
    parts = gradients(tiny_model, tmp_path, "parts", accumulation=4, **settings)
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    assert_same_gradients(parts[1], whole[1], 1e-4)


def test_the_name_and_the_log_say_so(tiny_model, tmp_path):
    prepared, trainer = build("dpo", tiny_model, tmp_path, rows=PAIRED, mlc={"objective": "contrast"}, accumulation=4)
    trainer.train()
    assert prepared.label == "dpo+mlc.contrast"
    entry = next(entry for entry in trainer.state.log_history if "mlc/contrast" in entry)
    assert 0 <= entry["mlc/contrast"] <= 8


def test_data_without_pairs_is_one_line(tiny_model, tmp_path):
    with pytest.raises(run.UsageError, match="no row of the data names its 'partner'"):
        build("dpo", tiny_model, tmp_path, mlc={"objective": "contrast"})


def prompts(numbers=(0, 1)):
    groups = [{"en": [n]} | {code: [n, place] for place, code in enumerate(CODES)} for n in numbers]
    return Prompts(groups, [{"en": [9], **{code: [9] for code in CODES[:7]}} for _ in groups])


def test_languages_are_drawn_anew_and_the_same_for_both_of_a_pair():
    drawn = [prompts().drawn(4, f"seed {step}") for step in range(40)]
    assert all([len(group) for group in one.groups] == [5, 5] for one in drawn)
    assert all(next(iter(group)) == "en" for one in drawn for group in one.groups)
    assert all(
        set(partner) <= set(group) for one in drawn for group, partner in zip(one.groups, one.partners, strict=True)
    )
    assert {code for one in drawn for code in one.groups[0]} == {"en", *CODES}, "in the end every language"
    assert len({tuple(one.groups[0]) for one in drawn}) > 20
    assert any(set(one.groups[0]) != set(one.groups[1]) for one in drawn)


def test_what_is_drawn_depends_on_the_group_alone():
    assert prompts((0, 1)).drawn(4, "s").groups[1] == prompts((1,)).drawn(4, "s").groups[0]
    assert prompts().drawn(99, "s") == prompts()


def test_a_contrast_is_of_the_languages_that_both_have():
    rows = [
        {
            "mlc_ids": [[1], [2], [3]], "mlc_group": [0, 0, 0], "mlc_language": ["en", "sw", "it"],
            "mlc_partner_ids": [[4], [5]], "mlc_partner_language": ["en", "sw"],
        },
        {"mlc_ids": [[6]], "mlc_group": [0], "mlc_language": ["en"], "mlc_partner_ids": [], "mlc_partner_language": []},
    ]  # fmt: skip
    found = of_rows(rows)
    assert found.rows() == [[1], [2], [3], [6], [4], [5]]
    assert found.contrasts().tolist() == [[1, 5, 0, 4, 0]]
    assert found.slots().tolist() == [[0, 0], [0, 1], [0, 2], [1, 0]]


def test_a_run_that_was_killed_draws_as_it_would_have(tiny_model, tmp_path, monkeypatch):
    settings = {"mlc": {"sample": 1, "every": 1}, "max_steps": 4, "learning_rate": 1e-3, "save_steps": 2}
    seen: list[list[str]] = []
    drawn = Prompts.drawn
    monkeypatch.setattr(Prompts, "drawn", lambda *given: seen.append(drawn(*given)) or seen[-1])

    def prepare(name):
        return build("dpo", tiny_model, tmp_path, name, **settings)[0]

    whole = run.execute(prepare("whole"))
    expected, seen[:] = list(seen), []
    killed_at(3, prepare("killed"), monkeypatch)
    assert seen == expected[: len(seen)]
    seen.clear()
    resumed = run.execute(prepare("killed"))
    assert seen == expected[len(expected) // 2 :], "from the checkpoint of the second of four steps"
    assert resumed["final_loss"] == whole["final_loss"]
    assert resumed["mlc_tokens"] == whole["mlc_tokens"]
