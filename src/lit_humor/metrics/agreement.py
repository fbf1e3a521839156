"""Agreement of raters. Legend: N rows, R raters, C different ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_REPLICATES = 2000
_ALPHA = 0.05  # share outside of an interval


@dataclass(frozen=True)
class Agreement:
    """How far raters agree.

    Attributes:
        alpha: Krippendorff's alpha: 1 for perfect agreement, 0 for that of chance, below 0 for less; None where it is
            not defined, as no row has two ratings or all ratings are the same.
        interval: Ends of its 95 % interval; None where there is none.
        rows: Rows with two ratings or more, which alone count.
        ratings: Ratings of these rows.
    """

    alpha: float | None
    interval: tuple[float, float] | None
    rows: int
    ratings: int


def count_ratings(columns: Sequence[Sequence[str]]) -> tuple[list[str], np.ndarray]:
    """Count the ratings of each row.

    Args:
        columns: [R][N] ratings; an empty text is a missing one.

    Returns:
        The different ratings, sorted, and [N, C] how often each row has each of them.
    """
    values = sorted({rating for column in columns for rating in column} - {""})
    cells = np.asarray(columns, dtype=object)
    counts = [(cells == value).sum(axis=0) for value in values]
    return values, np.asarray(counts, dtype=np.int64).reshape(len(values), len(columns[0])).T


def nominal_agreement(counts: np.ndarray, seed: int = 0) -> Agreement:
    """Compute Krippendorff's alpha of nominal ratings, any of which may be missing, and bootstrap it over rows.

    A row with n ratings has n (n - 1) ordered pairs of them, each of weight 1 / (n - 1). Alpha is 1 less the share of
    unequal pairs within rows, divided by that among the pairs of all ratings.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C; the percentile interval: Efron &
    Tibshirani 1993, chapter 13. Alternatives: Fleiss' kappa, which allows no missing ratings.

    Args:
        counts: [N, C] how often each row has each rating.
        seed: Seed of the draws.
    """
    counts = counts[counts.sum(axis=1) > 1].astype(np.float64)
    sizes = counts.sum(axis=1, keepdims=True)
    rows, ratings = len(counts), int(sizes.sum())
    if np.count_nonzero(counts.sum(axis=0)) < 2:
        return Agreement(None, None, rows, ratings)
    equal_pairs = (counts * (counts - 1) / (sizes - 1)).sum(axis=1, keepdims=True)
    kinds, frequencies = np.unique(np.concatenate([equal_pairs, counts], axis=1), axis=0, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(rows, frequencies / rows, size=_REPLICATES)
    replicates = _alpha(draws @ kinds)
    low, high = np.quantile(replicates[np.isfinite(replicates)], (_ALPHA / 2, 1 - _ALPHA / 2))
    return Agreement(float(_alpha(frequencies @ kinds)), (float(low), float(high)), rows, ratings)


def _alpha(sums: np.ndarray) -> np.ndarray:
    """Return alpha [...] of sums over rows [..., 1 + C]: of weighted equal pairs, and of each rating; NaN of one."""
    equal, of_rating = sums[..., 0], sums[..., 1:]
    total = of_rating.sum(axis=-1)
    unequal_by_chance = total**2 - (of_rating**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 1 - (total - 1) * (total - equal) / unequal_by_chance
