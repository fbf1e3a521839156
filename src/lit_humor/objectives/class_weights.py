"""Weights of classes in the loss. Legend: C classes."""

from __future__ import annotations

import numpy as np

from lit_humor.core.errors import UserError


def compute_class_weights(scheme: str | list[float], class_counts: np.ndarray, beta: float) -> np.ndarray:
    """Return weights of the classes, scaled to mean 1 over the training rows.

    Args:
        scheme: See ``CrossEntropy``.
        class_counts: [C] training rows of each class, none zero.
        beta: Beta of the effective number.

    Returns:
        [C] float32 with ``sum(n_c * w_c) == sum(n_c)``.
    """
    counts = np.asarray(class_counts, dtype=np.float64)
    if scheme == "none":
        weights = np.ones_like(counts)
    elif scheme == "balanced":
        weights = 1 / counts
    elif scheme == "effective_number":
        weights = (1 - beta) / (1 - beta**counts)
    else:
        weights = np.asarray(scheme, dtype=np.float64)
    return (weights * counts.sum() / (weights * counts).sum()).astype(np.float32)


def check_class_weights(scheme: str | list[float], num_classes: int) -> None:
    """Check that class weights are a known scheme or one positive number for each class.

    Raises:
        UserError: They are neither.
    """
    if isinstance(scheme, str):
        fits = scheme in ("none", "balanced", "effective_number")
    else:
        fits = len(scheme) == num_classes and all(weight > 0 for weight in scheme)
    if not fits:
        raise UserError(
            "objective.class_weights",
            found=str(scheme),
            expected=f"none, balanced, effective_number, or {num_classes} positive numbers in class order",
            fix="set objective.class_weights=balanced",
        )
