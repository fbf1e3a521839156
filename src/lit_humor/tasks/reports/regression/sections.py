"""The sections on the page of a regression. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lit_humor.pages.figures import ONE, OTHER, draw
from lit_humor.pages.page import Grid, Picture, Section
from lit_humor.tasks.regression import Regression
from lit_humor.tasks.reports.numbers import lead_of, result_grids, row_grid, slice_grids
from lit_humor.tasks.reports.scored import ScoredRun

_PARTS = 5  # parts of equally many rows, by their target


def lead(run: ScoredRun) -> str:
    """Return a sentence with the main metrics and their intervals."""
    return lead_of(run, Regression())


def results(run: ScoredRun) -> list[Grid]:
    """Return tables of every split's errors and rank correlation with intervals, next to the baseline."""
    return result_grids(run, Regression())


def sections(run: ScoredRun) -> list[Section]:
    """Return sections on predictions over targets, slices, and rows with the largest errors."""
    split = run.headline
    columns = run.predictions[split]
    errors = np.asarray(columns["prediction"]) - np.asarray(columns["target"])
    order = np.argsort(-np.abs(errors), kind="stable").tolist()
    shown = {name: columns[name] for name in ("target", "prediction")} | {"error": errors.tolist()}
    return [
        Section("Predictions", [_picture(split, columns), _parts(split, columns)]),
        Section("Slices", list(slice_grids(split, columns, Regression())) or ["The data has no slices."]),
        Section("Errors", [row_grid(f"The largest errors of {split}", columns, order, shown)]),
    ]


def calibrate(run: ScoredRun) -> dict[str, float]:
    """Return nothing, since nothing is fitted on validation."""
    return {}


def _picture(split: str, columns: Mapping[str, Sequence[float]]) -> Picture:
    def paint(figure: Any) -> None:
        axes = figure.subplots()
        targets, predictions = (np.asarray(columns[name]) for name in ("target", "prediction"))
        axes.scatter(targets, predictions, s=8, alpha=0.4, color=ONE, linewidths=0)
        ends = [targets.min(), targets.max()]
        axes.plot(ends, ends, linestyle=":", color="gray", label="prediction = number")
        axes.axhline(predictions.mean(), linestyle="--", color=OTHER, label="mean of the predictions")
        axes.set(xlabel="number", ylabel="prediction")
        axes.legend(frameon=False)

    return draw(f"Predictions over numbers ({split})", paint, (5.5, 3.6))


def _parts(split: str, columns: Mapping[str, Sequence[float]]) -> Grid:
    """Return a table of mean prediction and error by fifths of the rows, from low to high targets."""
    targets, predictions = (np.asarray(columns[name]) for name in ("target", "prediction"))
    rows = [
        [
            f"{targets[part].min():.3f} to {targets[part].max():.3f}",
            *(f"{value:.3f}" for value in (targets[part].mean(), predictions[part].mean())),
            f"{np.abs(targets[part] - predictions[part]).mean():.3f}",
            str(len(part)),
        ]
        for part in np.array_split(np.argsort(targets, kind="stable"), _PARTS)
        if len(part)
    ]
    columns_shown = ["number", "mean number", "mean prediction", "mean absolute error", "rows"]
    note = "A model that has learned little predicts about the mean everywhere."
    return Grid(f"{split}: from the lowest numbers to the highest", columns_shown, rows, note)
