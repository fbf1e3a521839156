"""95 % intervals of numbers of a split, by NumPy alone. Legend: N rows, M numbers of a row, R replicates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

_REPLICATES = 2000
_ALPHA = 0.05
_NORMAL = 1.959964  # 97.5 % quantile of the normal distribution
_MOST_DRAWN = 2**22  # numbers drawn at once

Scores = Callable[[np.ndarray], Mapping[str, np.ndarray]]


def bootstrap_of_means(values: np.ndarray, scores: Scores, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Bootstrap percentile intervals of scores that depend on means over rows alone.

    Rows are resampled with replacement; they are assumed to be independent.

    Source: Efron & Tibshirani 1993, chapter 13. Cost: N x 2,000 draws, 2 s for 100,000 rows.

    Args:
        values: [N, M] numbers of the rows, at least one row.
        scores: Given means [R, M], returns scores [R] by name.
        seed: Seed of the draws.

    Returns:
        Lower and upper end of each score.
    """
    count = len(values)
    generator = np.random.default_rng(seed)
    step = max(_MOST_DRAWN // values.size, 1)
    means = [
        values[generator.integers(count, size=(min(step, _REPLICATES - done), count))].mean(axis=1)
        for done in range(0, _REPLICATES, step)
    ]
    quantiles = (_ALPHA / 2, 1 - _ALPHA / 2)
    ends = {name: np.quantile(found, quantiles) for name, found in scores(np.concatenate(means)).items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def spearman_interval(rank_correlation: float, num_rows: int) -> tuple[float, float] | None:
    """The interval of Spearman's rank correlation, by Fisher's transformation; None for fewer than four rows.

    Source: Bonett & Wright 2000, Sample size requirements for estimating Pearson, Kendall and Spearman correlations.
    Alternatives: a bootstrap ranks all rows 2,000 times.
    """
    if num_rows < 4 or abs(rank_correlation) >= 1:
        return None
    width = _NORMAL * math.sqrt((1 + rank_correlation**2 / 2) / (num_rows - 3))
    center = math.atanh(rank_correlation)
    return math.tanh(center - width), math.tanh(center + width)


def share_interval(count: float, num_rows: int) -> tuple[float, float]:
    """The interval of a share of independent rows, which holds for few rows and for shares near 0 and 1 too.

    Source: Wilson 1927, Probable inference, the law of succession, and statistical inference.

    Args:
        count: Rows that count; a half may be one of them.
        num_rows: Rows in all, at least one.
    """
    share, spread = count / num_rows, _NORMAL**2 / num_rows
    center = (share + spread / 2) / (1 + spread)
    width = _NORMAL / (1 + spread) * math.sqrt((share * (1 - share) + spread / 4) / num_rows)
    return max(center - width, 0.0), min(center + width, 1.0)  # which rounding may pass
