"""Whether a probability means what it says, and what to do about it. Legend: N rows, C classes, B bins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

NUM_BINS = 15
_SMALLEST = 1e-12


class Reliability(NamedTuple):
    """Rows by their highest probability, in bins of equal width; all [B].

    Attributes:
        rows: Rows of the bin.
        confidence: Their mean highest probability; nan where there are none.
        accuracy: Share of them that are right; nan where there are none.
    """

    rows: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between confidence and accuracy, weighted by rows."""
        return float(np.nansum(self.rows * np.abs(self.confidence - self.accuracy)) / self.rows.sum())


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> Reliability:
    """Sort rows into 15 bins by their highest probability.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 2.

    Args:
        probabilities: [N, C].
        labels: [N] class indices.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    rows = np.bincount(bins, minlength=NUM_BINS)
    with np.errstate(invalid="ignore"):
        return Reliability(
            rows,
            np.bincount(bins, weights=confidence, minlength=NUM_BINS) / rows,
            np.bincount(bins, weights=right, minlength=NUM_BINS) / rows,
        )


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Find the temperature under which the labels are most likely.

    Above 1 the model was too sure of itself, below 1 not sure enough. No decision changes.

    Source: Guo et al. 2017, section 4.2. Neighbours: with some ten thousand rows isotonic regression bends more freely.

    Args:
        probabilities: [N, C] of rows that the model did not train on.
        labels: [N] class indices.
    """

    def loss(log_temperature: float) -> float:
        scaled = apply_temperature(probabilities, float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(scaled[np.arange(len(labels)), labels], _SMALLEST)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits [N, C] by a temperature, as probabilities before and after."""
    logits = np.log(np.maximum(probabilities, _SMALLEST)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def best_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Find the probability from which on to call a row positive for the highest F1; of equals the nearest to 0.5.

    Args:
        probabilities: [N] of the positive class.
        labels: [N] 1 for positive, 0 for negative.
    """
    order = np.argsort(-probabilities, kind="stable")
    values, hits = probabilities[order], np.cumsum(labels[order])
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + labels.sum())
    last = np.append(values[1:] < values[:-1], True)  # rows of equal probability are called alike
    middles = (values + np.append(values[1:], 0.0)) / 2
    candidates = np.flatnonzero(last & (f1 >= f1[last].max() - 1e-12))
    return float(min(middles[candidates], key=lambda value: abs(value - 0.5)))
