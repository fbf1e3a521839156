"""Retrieval among all passages of a split, by NumPy alone. Legend: N rows, C different passages, D dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lit_humor.metrics.intervals import bootstrap_of_means

RECALLS = (1, 5, 10)
_MOST_SCORES = 2**23  # computed at once: 32 MB
_TOLERANCE = 1e-6  # scores that differ by less are equal: it is what rounding does to a sum of products
_SAMPLE = 2000  # rows whose pairs are compared for uniformity


def ranks_of(queries: Any, passages: Any, keys: np.ndarray) -> np.ndarray:
    """The rank of each row's own passage among the different passages of all rows, by the product with its query.

    Candidates are the passages, each different key once, at its first row. A rank is 1 + the number of other
    candidates that score strictly higher + half the number of those that score the same (to 0.000001): a model for
    which all texts are alike has the rank in the middle, (C + 1) / 2. A query whose own score is not a number has rank
    C. Equal ranks of 1 and 2 are 1.5 each.

    Cost: N x C x D products, 3 s for 10,000 different passages of 384 dimensions on two busy cores, and 100 times that
    for 100,000; memory for blocks of at most 8 million scores.

    Args:
        queries: [N, D] float32, of length 1; an array, or a sparse matrix of SciPy.
        passages: The same of the own passage of each query.
        keys: [N] int64, equal for equal passages.

    Returns:
        [N] float64, 1 to C.
    """
    _, first, own = np.unique(keys, return_index=True, return_inverse=True)
    candidates = passages[first].T
    ranks = np.empty(len(keys))
    step = max(_MOST_SCORES // max(len(first), 1), 1)
    for start in range(0, len(keys), step):
        part = slice(start, start + step)
        scores = queries[part] @ candidates
        scores = scores if isinstance(scores, np.ndarray) else scores.toarray()
        score = np.take_along_axis(scores, own[part].reshape(-1, 1), axis=1)
        higher = (scores > score + _TOLERANCE).sum(axis=1)
        alike = (scores >= score - _TOLERANCE).sum(axis=1) - higher - 1  # without the own passage
        ranks[part] = np.where(np.isnan(score[:, 0]), len(first), 1 + higher + alike / 2)
    return ranks


def scores_of_ranks(ranks: np.ndarray) -> dict[str, np.ndarray]:
    """For each row whether its own passage is among the first 1, 5, 10, and one over its rank.

    Returns:
        ``recall_at_1``, ``recall_at_5``, ``recall_at_10`` (0 or 1) and ``mrr``, each [N] float64; their means are the
        numbers of the split.
    """
    recalls = {f"recall_at_{most}": (ranks <= most).astype(float) for most in RECALLS}
    return {**recalls, "mrr": 1 / ranks}


def retrieval_intervals(ranks: np.ndarray) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the means of ``scores_of_ranks`` over rows, with the candidates as they are.

    Args:
        ranks: [N] at least one.

    Returns:
        Lower and upper end of each number.
    """
    scores = scores_of_ranks(ranks)
    values = np.stack([*scores.values()], axis=1)
    return bootstrap_of_means(values, lambda means: dict(zip(scores, means.T, strict=True)))


def alignment(queries: np.ndarray, passages: np.ndarray) -> float:
    """Mean squared distance of a query and its own passage, 0 to 4; less is better.

    Source: Wang & Isola 2020, Understanding contrastive representation learning, equation 4.

    Args:
        queries: [N, D] of length 1, at least one row.
        passages: [N, D] of length 1.
    """
    squares = ((queries.astype(float) - passages) ** 2).sum(axis=1)
    return math.fsum(squares) / len(squares)


def uniformity(passages: np.ndarray, query_keys: np.ndarray) -> float | None:
    """Logarithm of the mean of exp(-2 d²) over pairs of passages of different queries, -8 to 0; less is better.

    Of more than 2,000 rows, 2,000 evenly spaced ones are compared.

    Source: Wang & Isola 2020, Understanding contrastive representation learning, equation 5.

    Args:
        passages: [N, D] of length 1, in an order that does not depend on batches.
        query_keys: [N] int64, equal for equal queries.

    Returns:
        None where no two queries differ.
    """
    count = min(len(passages), _SAMPLE)
    chosen = np.arange(count) * len(passages) // max(count, 1)
    vectors, keys = passages[chosen].astype(float), query_keys[chosen]
    differ = keys[:, None] != keys[None, :]
    if not differ.any():
        return None
    squares = (vectors**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * vectors @ vectors.T, 0)
    return float(np.log(np.exp(-2 * distances[differ]).mean()))
