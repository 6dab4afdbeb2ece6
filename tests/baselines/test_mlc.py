"""The MLC loss: against an independent reference, at its worked values, where singular values repeat or vanish."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc_bench.baselines.mlc import mlc_loss


def slots(*sizes):
    return torch.tensor([(group, place) for group, size in enumerate(sizes) for place in range(size)])


def loss_of(rows, sizes, **options):
    return mlc_loss.consistency(mlc_loss.unit(rows, slots(*sizes)), **options)


def reference(rows, tau, form):
    """Loss and gradient of one group in numpy, from the formulas: `rows` (n, D) float64."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / norms
    left, values, right = np.linalg.svd(unit, full_matrices=False)
    scale = tau * (values[0] if form == "code" else 1.0)
    weights = np.exp(values / scale - (values / scale).max())
    weights /= weights.sum()
    by_value = weights / scale
    by_value[0] -= 1 / scale
    by_unit = left @ np.diag(by_value) @ right
    by_row = (by_unit - unit * (by_unit * unit).sum(axis=1, keepdims=True)) / norms
    return -math.log(weights[0]), by_row


@pytest.mark.parametrize("form", ["code", "paper"])
def test_loss_and_gradient_equal_an_independent_reference(form):
    sizes = (5, 3, 10, 1)
    rows = torch.randn(sum(sizes), 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows.requires_grad_()
    losses = loss_of(rows, sizes, tau=0.2, form=form)
    losses.sum().backward()
    start = 0
    for index, size in enumerate(sizes):
        expected, gradient = reference(rows.detach().numpy()[start : start + size], 0.2, form)
        assert losses[index].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(rows.grad[start : start + size].numpy(), gradient, rtol=1e-9, atol=1e-12)
        start += size


@pytest.mark.parametrize("signed", [False, True])
def test_gradcheck(signed):
    rows = torch.randn(7, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda r: loss_of(r, (4, 3), form="paper", signed=signed), rows)
    assert torch.autograd.gradcheck(lambda r: mlc_loss.cosine(mlc_loss.unit(r, slots(4, 3))), rows)
    assert torch.autograd.gradcheck(
        lambda r: mlc_loss.consistency(mlc_loss.unit(r, slots(4, 3), True), form="paper"), rows
    )


def test_worked_values():
    """At ten languages and tau 0.2: 0.0589 where the rows are collinear, 2.3026 = ln 10 where they are orthogonal."""
    collinear = torch.ones(10, 1) * torch.randn(1, 512)
    orthogonal = torch.eye(10, 512)
    assert loss_of(collinear, (10,)).item() == pytest.approx(math.log(1 + 9 * math.exp(-5)), abs=1e-5)
    assert loss_of(collinear, (10,)).item() == pytest.approx(0.0589, abs=5e-5)
    assert loss_of(orthogonal, (10,)).item() == pytest.approx(2.3026, abs=5e-5)


def test_the_published_loss_is_blind_to_sign_and_the_signed_one_is_not():
    signs = torch.tensor([1.0, -1.0]).repeat(5).unsqueeze(1)
    row = torch.randn(1, 512)
    alternating, equal = signs * row, torch.ones(10, 1) * row
    assert loss_of(alternating, (10,)).item() == pytest.approx(0.0589, abs=5e-5)
    assert loss_of(equal, (10,), signed=True).item() == pytest.approx(0.0589, abs=5e-5)
    assert loss_of(torch.eye(10, 512), (10,), signed=True).item() == pytest.approx(2.3026, abs=5e-5)
    assert loss_of(alternating, (10,), signed=True).item() > 5


def test_the_codes_form_is_the_papers_with_a_scaled_temperature():
    rows = torch.randn(6, 12, dtype=torch.float64, requires_grad=True)
    largest = torch.linalg.svdvals(mlc_loss.unit(rows, slots(6)).rows.detach())[0, 0].item()
    code = loss_of(rows, (6,), tau=0.2, form="code")
    paper = loss_of(rows, (6,), tau=0.2 * largest, form="paper")
    assert code.item() == pytest.approx(paper.item(), rel=1e-10)
    (one,) = torch.autograd.grad(code.sum(), rows)
    (other,) = torch.autograd.grad(paper.sum(), rows)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("signed", [False, True])
def test_an_absent_language_changes_nothing(signed):
    rows = torch.randn(9, 8, dtype=torch.float64)
    alone = loss_of(rows[:3], (3,), signed=signed)
    beside = loss_of(rows, (3, 6), signed=signed)
    assert beside[0].item() == pytest.approx(alone[0].item(), rel=1e-12)
    assert mlc_loss.cosine(mlc_loss.unit(rows, slots(3, 6)))[0].item() == pytest.approx(
        mlc_loss.cosine(mlc_loss.unit(rows[:3], slots(3)))[0].item(), rel=1e-12
    )


def test_one_language_alone_asks_for_nothing():
    rows = torch.randn(1, 8, requires_grad=True)
    for loss in (loss_of(rows, (1,)), loss_of(rows, (1,), signed=True), mlc_loss.cosine(mlc_loss.unit(rows, slots(1)))):
        loss.sum().backward()
        assert loss.item() == pytest.approx(0, abs=1e-6)
    assert rows.grad.abs().max() < 1e-5


SPECIAL = st.sampled_from(["collinear", "opposite", "orthogonal", "pairs", "random", "nearly collinear"])


@settings(max_examples=60, deadline=None)
@given(kind=SPECIAL, n=st.integers(2, 10), size=st.sampled_from([1e-3, 1.0, 1e3]), seed=st.integers(0, 99))
@pytest.mark.parametrize("options", [{}, {"form": "paper"}, {"signed": True}])
def test_gradients_are_finite_and_bounded(options, kind, n, size, seed):
    """|dL/ds| is at most sqrt(2) / tau for every group, and the unit rows divide it by their norm."""
    generator = torch.Generator().manual_seed(seed)
    row = torch.randn(1, 16, generator=generator)
    rows = {
        "collinear": row.repeat(n, 1),
        "opposite": row * torch.tensor([(-1.0) ** i for i in range(n)]).unsqueeze(1),
        "orthogonal": torch.eye(n, 16),
        "pairs": torch.eye(16)[torch.arange(n) // 2],
        "random": torch.randn(n, 16, generator=generator),
        "nearly collinear": row + 1e-7 * torch.randn(n, 16, generator=generator),
    }[kind]
    rows = (rows * size).requires_grad_()
    loss = loss_of(rows, (n,), tau=0.2, **options)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(rows.grad).all()
    # s_1 is at least one; the signed form divides by its largest value, which is at least 1 / sqrt(2)
    assert (rows.grad.norm() * rows.detach().norm(dim=1).min()).item() <= 2 * math.sqrt(2) / 0.2


def test_figures_that_are_logged():
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [1.0, 1.0]])
    group = mlc_loss.unit(rows, slots(2, 2))
    assert mlc_loss.share(group).tolist() == pytest.approx([0.5, 1.0], abs=1e-6)
    assert mlc_loss.anchor_cosine(group).tolist() == [pytest.approx([1, 0], abs=1e-6), pytest.approx([1, 1], abs=1e-6)]


def test_centring_takes_away_what_all_prompts_share():
    generator = torch.Generator().manual_seed(3)
    template = 100 * torch.randn(1, 32, generator=generator)
    rows = template + torch.randn(12, 32, generator=generator)
    assert mlc_loss.share(mlc_loss.unit(rows, slots(6, 6))).min() > 0.9
    assert mlc_loss.share(mlc_loss.unit(rows, slots(6, 6), center=True)).max() < 0.5
    with pytest.raises(ValueError, match="two groups"):
        mlc_loss.unit(rows, slots(12), center=True)


def test_half_precision_representations_are_compared_in_float32():
    rows = torch.randn(10, 64, dtype=torch.bfloat16)
    assert loss_of(rows, (10,)).dtype == torch.float32
