"""The MLC loss (multi-lingual consistency, arXiv 2602.16660) in plain torch, usable from any trainer.

A prompt and its translations form a group. Their representations, one row each, should be collinear: the matrix of the
group then has rank one. With s_1 >= s_2 >= ... the singular values of the matrix of unit rows, the loss is the cross
entropy of softmax(s / tau) against s_1.

Two forms of the logits: the paper writes `s / tau`; the authors' code divides by the largest singular value, held
constant, as well: `s / (stopgrad(s_1) tau)`. The code's form is the paper's with tau * s_1 as the temperature of each
group.

Singular values come from `svdvals`, not from eigenvalues of the Gram matrix: d s_i = u_i^T dZ v_i has no denominator,
so the gradient stays finite and bounded where values repeat or vanish, while the square root of an eigenvalue has an
unbounded derivative at zero, which is exactly where the loss leads.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Form = Literal["code", "paper"]
_TINY = 1e-12


@dataclass(frozen=True)
class Group:
    """The unit rows of B groups of at most L prompts: `rows` (B, L, D) in float32 or better, `mask` (B, L) bool.

    Rows outside the mask are zero. The first row of each group is its anchor (English).
    """

    rows: Tensor
    mask: Tensor


def unit(representations: Tensor, slots: Tensor, center: bool = False) -> Group:
    """Sort representations (R, D) into groups by `slots` (R, 2): number of the group, place in it. Norms become one.

    `center` first subtracts the mean over all R prompts: what prompts share because of the chat template would make
    them collinear whatever they say. It needs prompts of two groups or more, since within one group the mean is also
    what the translations ought to share; ValueError otherwise.
    """
    groups, length = (int(size) + 1 for size in slots.amax(dim=0).tolist())
    representations = representations if representations.dtype == torch.float64 else representations.float()
    if center:
        if groups < 2:
            raise ValueError("center needs the prompts of two groups or more in a batch")
        representations = representations - representations.mean(dim=0)
    index = (slots[:, 0], slots[:, 1])
    normalised = representations / (representations.norm(dim=-1, keepdim=True) + _TINY)
    rows = normalised.new_zeros(groups, length, normalised.shape[-1]).index_put(index, normalised)
    mask = torch.zeros(groups, length, dtype=torch.bool, device=rows.device)
    return Group(rows, mask.index_put(index, mask.new_ones(())))


def consistency(group: Group, tau: float = 0.2, form: Form = "code", signed: bool = False) -> Tensor:
    """The loss of each group, (B,). With one prompt in a group it is zero.

    The loss as published cannot tell +z from -z: rows that alternate between the two have rank one. `signed` splits
    along the mean row instead of the first singular vector: the value to favour is |sum of rows| / sqrt(n), which is
    s_1 exactly where all rows are equal, and the others are the singular values of what the rows differ by from their
    mean. Both have the same value at equal rows and at orthogonal ones.
    """
    values = _signed_values(group) if signed else _values(group)
    if form == "code":
        values = values / (values.detach().amax(dim=-1, keepdim=True) + _TINY)
    count = group.mask.sum(dim=-1, keepdim=True)
    place = torch.arange(values.shape[-1], device=values.device)
    logits = (values / tau).masked_fill(place >= count, float("-inf"))
    return -F.log_softmax(logits, dim=-1)[:, 0]


def cosine(group: Group) -> Tensor:
    """The pairwise baseline: mean of `1 - cos` between each translation and the group's anchor, (B,)."""
    distance = (1 - anchor_cosine(group)) * group.mask
    return distance[:, 1:].sum(dim=-1) / (group.mask[:, 1:].sum(dim=-1).clamp(min=1))


def anchor_cosine(group: Group) -> Tensor:
    """Cosine of each row to its group's first one, (B, L)."""
    return (group.rows @ group.rows[:, 0].unsqueeze(-1)).squeeze(-1)


def share(group: Group) -> Tensor:
    """Share of s_1 in the sum of the singular values, (B,), between 1/n (orthogonal rows) and 1 (collinear rows)."""
    values = _values(group)
    return values[:, 0] / (values.sum(dim=-1) + _TINY)


def _values(group: Group) -> Tensor:
    return _singular_values(group.rows)


def _singular_values(rows: Tensor) -> Tensor:
    """As `svdvals`, but NaN, which the caller notices, for rows that are not finite, where that one raises an error.

    An error in one process of several would leave the others waiting.
    """
    try:
        return torch.linalg.svdvals(rows)
    except torch.linalg.LinAlgError:
        return rows.sum(dim=-1)[..., : min(rows.shape[-2:])] * float("nan")


def _signed_values(group: Group) -> Tensor:
    count = group.mask.sum(dim=-1)
    total = group.rows.sum(dim=1)
    along = total.norm(dim=-1) / count.sqrt()
    rest = group.rows - group.mask.unsqueeze(-1) * (total / count.unsqueeze(-1)).unsqueeze(1)
    return torch.cat([along.unsqueeze(-1), _singular_values(rest)], dim=-1)[:, : group.rows.shape[1]]
