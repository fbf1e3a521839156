"""Scores of several labels a row from their counts, by NumPy alone. Legend: N rows, K labels, R replicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lit_humor.metrics.intervals import bootstrap_of_means

THRESHOLD = 0.5


def label_counts(targets: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """[N, 3K + 1] float64: hits, false alarms and misses of each label, and whether all labels of the row are right.

    Args:
        targets: [N, K] 0 or 1.
        predictions: [N, K] 0 or 1.
    """
    true, called = np.asarray(targets) > 0, np.asarray(predictions) > 0
    parts = (true & called, ~true & called, true & ~called, (true == called).all(axis=1, keepdims=True))
    return np.concatenate(parts, axis=1).astype(float)


def scores_of_labels(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of sums or means of ``label_counts``.

    A label with neither rows nor predictions has F1 0, as in scikit-learn.

    Args:
        counts: [..., 3K + 1].

    Returns:
        ``f1_macro``, ``f1_micro`` and ``exact_match`` [...], the last as a sum or mean like the counts; ``precision``,
        ``recall`` and ``label_f1`` [..., K].
    """
    size = counts.shape[-1] // 3
    hits, false_alarms, misses = (counts[..., part * size : (part + 1) * size] for part in range(3))

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)

    label_f1 = share(2 * hits, 2 * hits + false_alarms + misses)
    sums = [part.sum(-1) for part in (hits, false_alarms, misses)]
    return {
        "f1_macro": label_f1.mean(-1),
        "f1_micro": share(2 * sums[0], 2 * sums[0] + sums[1] + sums[2]),
        "exact_match": counts[..., -1],
        "precision": share(hits, hits + false_alarms),
        "recall": share(hits, hits + misses),
        "label_f1": label_f1,
    }


def measure_labels(names: Sequence[str], counts: np.ndarray) -> dict[str, Any]:
    """The numbers of rows of which only counts are known.

    Args:
        names: [K] names of the labels.
        counts: [3K + 1] sums of ``label_counts`` over the rows, followed by the number of rows.

    Returns:
        ``f1_macro``, ``f1_micro``, ``exact_match``; ``labels``: precision, recall, F1 and rows of each; ``rows``.
    """
    *of_labels, num_rows = counts.tolist()
    scores = scores_of_labels(np.asarray(of_labels))
    size = len(names)
    labels = {
        name: {
            "precision": float(scores["precision"][index]),
            "recall": float(scores["recall"][index]),
            "f1": float(scores["label_f1"][index]),
            "rows": int(of_labels[index] + of_labels[2 * size + index]),
        }
        for index, name in enumerate(names)
    }
    return {
        "f1_macro": float(scores["f1_macro"]),
        "f1_micro": float(scores["f1_micro"]),
        "exact_match": float(scores["exact_match"]) / max(num_rows, 1),
        "rows": int(num_rows),
        "labels": labels,
    }


def label_intervals(targets: np.ndarray, predictions: np.ndarray) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of ``f1_macro``, ``f1_micro`` and ``exact_match``; arguments as of ``label_counts``."""

    def scores(means: np.ndarray) -> dict[str, np.ndarray]:
        return {name: values for name, values in scores_of_labels(means).items() if values.ndim == 1}

    return bootstrap_of_means(label_counts(targets, predictions), scores)
