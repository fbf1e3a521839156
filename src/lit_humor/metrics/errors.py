"""Errors of predicted numbers, by NumPy alone. Legend: N rows."""

from __future__ import annotations

from typing import Any

import numpy as np


def measure_errors(targets: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    """The numbers of ``RegressionMetrics`` without slices, of a whole split.

    Args:
        targets: [N], at least one row.
        predictions: [N].
    """
    from scipy.stats import spearmanr

    errors = predictions - targets
    is_constant = len({*targets.tolist()}) < 2 or len({*predictions.tolist()}) < 2
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        "mae": float(np.abs(errors).mean()),
        "spearman": None if is_constant else float(spearmanr(targets, predictions).statistic),
        "rows": len(errors),
        "slices": {},
    }
