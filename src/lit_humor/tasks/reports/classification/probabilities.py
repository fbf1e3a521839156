"""The section on a classifier's probabilities: how well they are calibrated, and where to draw the line."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lit_humor.metrics.calibration import apply_temperature, calibrate, reliability
from lit_humor.metrics.confusion import count_confusion, scores_of
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.reports.classification import figures
from lit_humor.tasks.reports.classification.predictions import Predictions

_ENOUGH_ROWS = 100  # of a language on validation, to fit a temperature and a threshold for it alone


def section(split: str, predictions: Predictions, val: Predictions | None) -> Section:
    """Return the section of a split; temperature and threshold are those that the validation rows give.

    Args:
        split: Name of the split.
        predictions: Its predictions.
        val: Predictions of the validation rows; without them nothing is fitted.
    """
    found = Section("Probabilities", [figures.precision_recall(split, predictions)])
    if val is None:
        return found
    calibration = calibrate(val.probabilities, val.labels)
    scaled = apply_temperature(predictions.probabilities, calibration["temperature"])
    before, after = reliability(predictions.probabilities, predictions.labels), reliability(scaled, predictions.labels)
    found.parts += [
        figures.reliability_curves(split, before, after),
        Grid(
            "Temperature, fitted on val",
            ["temperature", f"calibration error of {split}", "scaled"],
            [[f"{calibration['temperature']:.3f}", f"{before.error:.4f}", f"{after.error:.4f}"]],
            "Above 1 the model was too sure of itself. Scaling changes no decision.",
        ),
    ]
    if "threshold" in calibration:
        rows = []
        for name, threshold in (("as it is", 0.5), ("best F1 of val", calibration["threshold"])):
            scores = _scores(predictions.labels, scaled, threshold)
            values = [scores["precision"][1], scores["recall"][1], scores["f1"], scores["accuracy"]]
            rows.append([name, f"{threshold:.3f}", *(f"{float(value):.3f}" for value in values)])
        columns = ["", "threshold", "precision", "recall", "F1", "accuracy"]
        found.parts.append(Grid(f"Where to draw the line for {predictions.class_names[1]} ({split})", columns, rows))
    found.parts += _by_language(split, predictions, val, calibration)
    return found


def _by_language(
    split: str, predictions: Predictions, val: Predictions, calibration: Mapping[str, float]
) -> list[str | Grid]:
    """Return tables of temperature and threshold fitted for each language that has enough validation rows."""
    there, fitted_on = predictions.slices().get("language", {}), val.slices().get("language", {})
    temperatures, thresholds = [], []
    for language, members in there.items():
        val_rows = fitted_on.get(language, np.empty(0, dtype=np.int64))
        if len(val_rows) < _ENOUGH_ROWS or len(np.unique(val.labels[val_rows])) < len(val.class_names):
            continue
        own = calibrate(val.probabilities[val_rows], val.labels[val_rows])
        labels, as_is = predictions.labels[members], predictions.probabilities[members]
        shared, scaled = (apply_temperature(as_is, fitted["temperature"]) for fitted in (calibration, own))
        errors = [reliability(scores, labels).error for scores in (as_is, shared, scaled)]
        start = [language, str(len(val_rows))]
        temperatures.append([*start, f"{own['temperature']:.3f}", *(f"{error:.3f}" for error in errors)])
        if "threshold" in calibration:
            lines = [(as_is, 0.5), (shared, calibration["threshold"]), (scaled, own["threshold"])]
            f1 = [f"{float(_scores(labels, scores, line)['f1']):.3f}" for scores, line in lines]
            thresholds.append([*start, f"{own['threshold']:.3f}", *f1])
    note = f"Fitted on the validation rows of the language, where it has {_ENOUGH_ROWS} or more; scored on {split}."
    tables = {
        "Temperature": (["its own", "calibration error", "by that of all", "by its own"], temperatures),
        "Threshold": (["its own", "F1 at 0.5", "at that of all", "at its own"], thresholds),
    }
    return [
        Grid(f"{name} by language ({split})", ["language", "val rows", *columns], rows, note)
        for name, (columns, rows) in tables.items()
        if rows
    ]


def _scores(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Return the scores of two classes when the last one is predicted from a threshold on."""
    return scores_of(count_confusion(labels, (probabilities[:, 1] >= threshold).astype(np.int64), 2))
