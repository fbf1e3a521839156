"""Scores of a confusion matrix and their bootstrap intervals. Legend: C classes, R replicates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_REPLICATES = 2000
_ALPHA = 0.05


def count_confusion(labels: np.ndarray, predictions: np.ndarray, num_classes: int) -> np.ndarray:
    """Return the confusion matrix [C, C] (true class, predicted class) of class indices [N]."""
    return np.bincount(labels * num_classes + predictions, minlength=num_classes**2).reshape(num_classes, num_classes)


def scores_of(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores of one or several confusion matrices.

    A class that was never predicted has precision 0, one without rows has recall 0, as in scikit-learn. Macro F1 omits
    classes that have neither rows nor predictions.

    Args:
        counts: [..., C, C], true class before predicted class.

    Returns:
        ``accuracy``, ``f1`` (of the last class with two classes, else macro) and ``f1_macro`` [...]; ``precision``,
        ``recall`` and ``class_f1`` [..., C].
    """
    counts = np.asarray(counts, dtype=float)
    true_positives = np.diagonal(counts, axis1=-2, axis2=-1)
    true_rows, predicted_rows = counts.sum(-1), counts.sum(-2)
    class_f1 = 2 * true_positives / np.maximum(true_rows + predicted_rows, 1)
    f1_macro = class_f1.sum(-1) / np.maximum((true_rows + predicted_rows > 0).sum(-1), 1)
    return {
        "accuracy": true_positives.sum(-1) / np.maximum(true_rows.sum(-1), 1),
        "f1": class_f1[..., -1] if counts.shape[-1] == 2 else f1_macro,
        "f1_macro": f1_macro,
        "precision": true_positives / np.maximum(predicted_rows, 1),
        "recall": true_positives / np.maximum(true_rows, 1),
        "class_f1": class_f1,
    }


def bootstrap_intervals(counts: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Return 95 % bootstrap percentile intervals of the scores, over rows resampled with replacement.

    Resampling N rows is equivalent to drawing the confusion matrix from a multinomial distribution, as these scores
    depend on nothing else. Rows are assumed to be independent: near duplicates are not taken into account.

    Source: Efron & Tibshirani 1993, chapter 13. Cost: 2,000 draws take a millisecond for any N. The intervals are too
    narrow with a few dozen rows, or a share of 0 or 1.

    Args:
        counts: [C, C], true class before predicted class.
        seed: Seed of the draws.

    Returns:
        Lower and upper end [2, ...] of each score of ``scores_of``.
    """
    return _percentiles(scores_of(_resample(counts, seed)))


def bootstrap_difference(counts: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Return 95 % intervals of the difference in score, second model minus first model, on the same rows.

    Args:
        counts: [C, C, C] rows by true class, prediction of the first model, prediction of the second.
        seed: Seed of the draws.

    Returns:
        Lower and upper end [2, ...] of the difference of each score.
    """
    replicates = _resample(counts, seed)
    first, second = scores_of(replicates.sum(-1)), scores_of(replicates.sum(-2))
    return _percentiles({name: second[name] - value for name, value in first.items()})


def bootstrap_mean_difference(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, num_classes: int, seed: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Compare two models that were each trained S times on the same rows: the second's mean score minus the first's.

    Rows are resampled, the same for all 2 S runs in each replicate, so runs of one row are not taken for independent.

    Args:
        labels: [N] class indices.
        first: [S, N] predicted class indices.
        second: [S, N] the same of the second model.
        num_classes: C.
        seed: Seed of the draws.

    Returns:
        ``accuracy``, ``f1`` and ``f1_macro``: both ends of the 95 % interval, and the two-sided p, twice the share of
        replicates on the other side of 0, at least 0.001.
    """
    size = num_classes**2
    kinds, counts = np.unique(np.concatenate([labels[None], first, second]).T, axis=0, return_counts=True)
    cells = np.eye(size, dtype=np.int64)[kinds[:, :1] * num_classes + kinds[:, 1:]].reshape(len(kinds), -1)
    confusions = (_resample(counts, seed) @ cells).reshape(-1, 2, len(first), num_classes, num_classes)
    found = {}
    for name, values in scores_of(confusions).items():
        if values.ndim == 3:
            gaps = values[:, 1].mean(axis=1) - values[:, 0].mean(axis=1)
            low, high = np.quantile(gaps, (_ALPHA / 2, 1 - _ALPHA / 2))
            rarer = min((gaps <= 0).sum(), (gaps >= 0).sum())
            found[name] = float(low), float(high), float(min(1.0, 2 * (rarer + 1) / (len(gaps) + 1)))
    return found


def _resample(counts: np.ndarray, seed: int) -> np.ndarray:
    """Draw R replicates [R, ...] of a table of counts [...] from a multinomial distribution."""
    counts = np.asarray(counts)
    num_rows = counts.sum()
    replicates = np.random.default_rng(seed).multinomial(num_rows, counts.ravel() / max(num_rows, 1), size=_REPLICATES)
    return replicates.reshape(_REPLICATES, *counts.shape)


def _percentiles(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    quantiles = (_ALPHA / 2, 1 - _ALPHA / 2)
    return {name: np.quantile(values, quantiles, axis=0) for name, values in scores.items()}
