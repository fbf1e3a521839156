"""Measures and improves the calibration of probabilities. Legend: N rows, C classes, B bins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

NUM_BINS = 15
_MIN_PROBABILITY = 1e-12


class Reliability(NamedTuple):
    """Rows in bins of equal width by their highest probability; all attributes are [B].

    Attributes:
        rows: Number of rows in the bin.
        confidence: Mean highest probability in the bin; nan for an empty bin.
        accuracy: Share of correct predictions in the bin; nan for an empty bin.
    """

    rows: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: mean absolute gap between confidence and accuracy, weighted by rows."""
        return float(np.nansum(self.rows * np.abs(self.confidence - self.accuracy)) / self.rows.sum())


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> Reliability:
    """Sort rows into 15 bins by their highest probability.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 2.

    Args:
        probabilities: [N, C].
        labels: [N] class indices.
    """
    confidence = probabilities.max(axis=1)
    is_correct = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    rows = np.bincount(bins, minlength=NUM_BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            rows,
            np.bincount(bins, weights=confidence, minlength=NUM_BINS) / rows,
            np.bincount(bins, weights=is_correct, minlength=NUM_BINS) / rows,
        )


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that maximises the likelihood of the labels.

    Above 1 the model was overconfident, below 1 underconfident. A temperature changes no prediction.

    Source: Guo et al. 2017, section 4.2. Alternatives: isotonic regression is more flexible with 10,000 rows or more.

    Args:
        probabilities: [N, C] of rows that the model did not train on.
        labels: [N] class indices.
    """

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(scaled[np.arange(len(labels)), labels], _MIN_PROBABILITY)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits of probabilities [N, C] by a temperature and return the new probabilities [N, C]."""
    logits = np.log(np.maximum(probabilities, _MIN_PROBABILITY)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def calibrate(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Fit the temperature and, with two classes, the threshold of the last one after scaling.

    Args:
        probabilities: [N, C] of rows that the model did not train on.
        labels: [N] class indices.

    Returns:
        ``temperature`` and, with two classes, ``threshold``.
    """
    temperature = fit_temperature(probabilities, labels)
    calibration = {"temperature": temperature}
    if probabilities.shape[1] == 2:
        calibration["threshold"] = best_threshold(apply_temperature(probabilities, temperature)[:, 1], labels)
    return calibration


def cross_fitted(probabilities: np.ndarray, labels: np.ndarray, num_folds: int = 10) -> np.ndarray:
    """Return [N] predicted labels, each by the threshold that the rows of the other folds give.

    Their scores say what a threshold is worth on new rows; scores on the rows that it was fitted on are too good.

    Args:
        probabilities: [N] of the positive class.
        labels: [N] 1 for positive, 0 for negative; each at least twice.
        num_folds: Folds, drawn within each class.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), dtype=np.int64)
    fold[order] = np.arange(len(labels)) % num_folds
    predicted = np.zeros(len(labels), dtype=np.int64)
    for index in np.unique(fold):
        held_out = fold == index
        predicted[held_out] = probabilities[held_out] >= best_threshold(probabilities[~held_out], labels[~held_out])
    return predicted


def best_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the threshold of the positive class with the highest F1; of several, the nearest to 0.5.

    Args:
        probabilities: [N] of the positive class.
        labels: [N] 1 for positive, 0 for negative.
    """
    order = np.argsort(-probabilities, kind="stable")
    sorted_probabilities, true_positives = probabilities[order], np.cumsum(labels[order])
    f1 = 2 * true_positives / (np.arange(1, len(sorted_probabilities) + 1) + labels.sum())
    # Rows of equal probability have the same prediction: a threshold lies below the last of them.
    ends_tie = np.append(sorted_probabilities[1:] < sorted_probabilities[:-1], True)
    midpoints = (sorted_probabilities + np.append(sorted_probabilities[1:], 0.0)) / 2
    candidates = np.flatnonzero(ends_tie & (f1 >= f1[ends_tie].max() - 1e-12))
    return float(min(midpoints[candidates], key=lambda threshold: abs(threshold - 0.5)))
