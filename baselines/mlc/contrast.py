"""Contrast MLC: what English tells apart, every language should tell apart.

MLC pulls the translations of a prompt together. Nothing in it keeps a harmful request apart from its harmless partner,
the same words asked for something else, so both may move to where the model refuses. This term holds them apart.

For a pair with unit representations h (of the harmful prompt) and b (of the harmless one), d = h_en - b_en is how
English separates the two. Along d, each other language l should separate them as far:

    L_l = max(0, |d|^2 - <d, h_l - b_l>)        L = mean of L_l over the languages that both have

d is held constant: English is the anchor and gets no gradient. A pair that English hardly separates asks for little,
since |d|^2 is small, and the gradient is at most |d| <= 2. The pair may be named in either order.

Ours; a hinge as in the triplet loss (arXiv 1503.03832) whose margin is the anchor's own distance. The whole objective
is rank MLC (`mlc_loss.consistency`) plus `mlc.contrast` times this.
"""

import torch
from torch import Tensor

_TINY = 1e-12


def separation(representations: Tensor, contrasts: Tensor, groups: int) -> Tensor:
    """The loss of each of so many groups, (groups,): zero for a group without a partner.

    `representations` (R, D) of prompts; `contrasts` (M, 5), rows of them as `Prompts.contrasts` gives them. In float32
    or better.
    """
    rows = representations if representations.dtype == torch.float64 else representations.float()
    rows = rows / (rows.norm(dim=-1, keepdim=True) + _TINY)
    own, partner, own_english, partner_english, number = contrasts.unbind(dim=-1)
    english = (rows[own_english] - rows[partner_english]).detach()
    missing = (english * (english - rows[own] + rows[partner])).sum(dim=-1).clamp(min=0)
    count = torch.bincount(number, minlength=groups).clamp(min=1)
    return rows.new_zeros(groups).index_add(0, number, missing) / count
