"""Matrices of outcomes: drawn at random, nested, correlated; and the statistics to compare."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.stats import norm

from mlc_bench.stats import measures

NAN = float("nan")
Matrix = NDArray[np.float64]
Table = list[list[float]]

# Published safe rates in %, then Avg in %, Var and PAG (Qwen2.5-7B-Instruct, 180 prompts per language).
PAPER = {
    "raw": ([93.3, 96.1, 93.3, 92.2, 93.9, 53.3, 6.1, 33.9, 21.1, 12.2], 59.55, 13.14, 0.504),
    "dpo": ([99.4, 98.3, 97.2, 97.8, 96.1, 70.6, 7.2, 50.6, 30.0, 17.2], 66.4, 12.44, 0.54),
    "mpo": ([81.1, 81.7, 82.2, 77.2, 78.3, 77.2, 4.4, 70.6, 59.4, 42.8], 65.5, 5.53, 0.70),
    "dpo+mlc": ([99.4, 96.7, 97.8, 98.3, 98.3, 95.0, 92.8, 92.8, 91.1, 97.2], 95.94, 0.07, 0.970),
}


def matrices(cells: tuple[float, ...] = (0.0, 1.0, NAN), min_languages: int = 1) -> st.SearchStrategy[Matrix]:
    shape = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
    shape = shape.filter(lambda sides: sides[1] >= min_languages)
    return shape.flatmap(lambda sides: hnp.arrays(np.float64, sides, elements=st.sampled_from(cells)))


def nested(counts: list[int], prompts: int) -> Matrix:
    """Safe on the first counts[j] prompts in language j: the largest PAG that these rates allow."""
    return (np.arange(prompts)[:, None] < np.array(counts)).astype(np.float64)


def correlated(generator: np.random.Generator, prompts: int, rates: list[float]) -> Matrix:
    """Verdicts from a latent normal with correlation 0.5 between the languages of one prompt."""
    shared = generator.standard_normal((prompts, 1))
    own = generator.standard_normal((prompts, len(rates)))
    safe: Matrix = ((shared + own) / np.sqrt(2) < norm.ppf(rates)).astype(np.float64)
    return safe


def scalars(matrix: Matrix) -> list[float]:
    """The statistics of the whole matrix that do not depend on the order of languages or prompts."""
    rates = measures.language_rates(matrix)
    return [
        measures.average(matrix),
        measures.language_variance(rates),
        measures.language_range(rates),
        measures.worst(rates)[1],
        measures.pag(matrix),
        measures.fleiss_kappa(matrix),
        measures.all_safe_rate(matrix),
    ]
