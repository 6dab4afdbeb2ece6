"""Which models can be told apart, the ranks that follow, and which cells of a column are its best."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlc_bench.leaderboard.tabulate.cells import Cell, Column
from mlc_bench.stats.measures import Array
from mlc_bench.stats.significance import holm

ALPHA = 0.05


def p_value(difference: Array, deviation: Array, prompts: int | Array) -> Array:
    """Two-sided p-values of paired differences with their bootstrap standard errors, by the normal distribution.

    Unlike the share of replicates beyond zero, which is never below 1 / resamples, these can pass Holm's correction
    over the many pairs of a table. Not below that of a sign test in which all prompts differ, 2 ** (1 - prompts):
    verdicts that are all equal leave the bootstrap a standard error of 0, and three prompts still prove nothing.
    `prompts`: with a verdict, of all pairs or of each.
    """
    from scipy.special import ndtr

    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(difference == 0, 0.0, np.abs(difference) / np.maximum(deviation, 1e-12))
    return np.maximum(2 * ndtr(-z), 2.0 ** (1.0 - prompts)).clip(max=1.0)


def ranks(values: Array, replicates: Array, prompts: int, higher_is_better: bool = True) -> NDArray[np.int64]:
    """The best and the worst rank of each model, of shape (models, 2), from 1.

    values: (models,); replicates: (models, resamples), every model on the same resamples of so many prompts.

    Rule. Two models are told apart where their paired difference has a two-sided p-value (`p_value`) below 0.05 after
    Holm's correction over all pairs of the table. A model's best rank is one more than the number of models that are
    told apart from it as better; its worst rank is the number of models less those told apart as worse. With all
    pairs corrected together, these intervals hold the true ranks of all models at once with 95 % confidence (Al
    Mohamad, Goeman and van Zwet 2022, Biometrics 78). The rank that tables show is the best rank: models that cannot be
    told from the leader are all first.
    """
    count = len(values)
    better = np.zeros((count, count), dtype=bool)  # better[i, j]: i is told apart from j as better
    if count > 1:
        centred = replicates - replicates.mean(axis=1, keepdims=True)
        covariance = centred @ centred.T / (replicates.shape[1] - 1)
        variances = np.diag(covariance)
        first, second = np.triu_indices(count, 1)
        squares = variances[first] + variances[second] - 2 * covariance[first, second]
        difference = values[first] - values[second]
        apart = holm(p_value(difference, np.sqrt(np.maximum(squares, 0.0)), prompts)) < ALPHA
        first_is_better = (difference > 0) == higher_is_better
        better[first[apart & first_is_better], second[apart & first_is_better]] = True
        better[second[apart & ~first_is_better], first[apart & ~first_is_better]] = True
    return np.stack([1 + better.sum(axis=0), count - better.sum(axis=1)], axis=1)


def with_best(column: Column, cells: dict[str, Cell]) -> dict[str, Cell]:
    """Marks the best value of a column, and every value whose interval reaches it. No best in a column of one."""
    known = [cell.value for cell in cells.values() if cell.value is not None]
    over = {cell.languages for cell in cells.values() if cell.value is not None}
    if column.id != "worst" and len(over) > 1:
        return cells  # means over different languages: none is the best
    if column.higher_is_better is None or len(known) < 2 or min(known) == max(known):
        return cells
    top = max(known) if column.higher_is_better else min(known)

    def reaches(cell: Cell) -> bool:
        if cell.value is None:
            return False
        bound = cell.high if column.higher_is_better else cell.low
        return cell.value == top or (bound is not None and (bound >= top if column.higher_is_better else bound <= top))

    return {model: replace(cell, best=True) if reaches(cell) else cell for model, cell in cells.items()}
