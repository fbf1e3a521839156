"""Finds labels that are probably wrong; confidence bound of a share. Legend: N rows, C classes."""

from __future__ import annotations

import numpy as np

from lit_humor.core.errors import MissingExtraError
from lit_humor.metrics.confusion import count_confusion, scores_of

LEAST_F1 = 0.7  # macro F1; doubts of a worse model say little


def suspect_labels(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray | None:
    """Find rows whose label is probably wrong by confident learning, most suspect first.

    A row is suspect if the model gives another class at least the mean probability that it gives to that class on its
    own rows. A good model is right about most suspects; the suspects of a poor model are mostly just hard rows.

    Source: Northcutt, Jiang & Chuang 2021, Confident Learning, in cleanlab.

    Args:
        labels: [N] class indices.
        probabilities: [N, C] of a model that did not train on these rows.

    Returns:
        Row indices; None if the model's macro F1 is below ``LEAST_F1``.

    Raises:
        MissingExtraError: The ``audit`` extra is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise MissingExtraError("label errors", package="cleanlab", extra="audit") from None
    counts = count_confusion(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    if scores_of(counts)["f1_macro"] < LEAST_F1:
        return None
    return find_label_issues(
        labels,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )


def wilson_lower(share: float, num_rows: int, z: float = 1.96) -> float:
    """Return the lower end of the Wilson score interval of a share (Wilson 1927)."""
    margin = z * np.sqrt(share * (1 - share) / num_rows + z * z / (4 * num_rows**2))
    return float((share + z * z / (2 * num_rows) - margin) / (1 + z * z / num_rows))
