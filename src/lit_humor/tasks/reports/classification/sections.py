"""The sections on a classifier's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lit_humor.core.batch import VAL
from lit_humor.metrics.calibration import calibrate as fit
from lit_humor.metrics.confusion import bootstrap_intervals, scores_of
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.reports.classification import figures, probabilities
from lit_humor.tasks.reports.classification.predictions import SCORES, Predictions, predictions_of
from lit_humor.tasks.reports.classification.rows import row_sections
from lit_humor.tasks.reports.scored import ScoredRun

_FEW_ROWS = 30
_INTERVALS = "95 % intervals in brackets: bootstrap over rows, which it takes for independent."
_PER_CLASS = ("precision", "recall", "class_f1")


def lead(run: ScoredRun) -> str:
    """Return a sentence with the main scores and their intervals."""
    predictions = predictions_of(run)[run.headline]
    ends = bootstrap_intervals(predictions.counts)
    scores = scores_of(predictions.counts)
    numbers = ", ".join(f"{name} {_with_interval(scores[key], ends[key])}" for key, name in SCORES.items())
    names = " / ".join(predictions.class_names)
    rows = f"{len(predictions.labels):,} rows of {run.headline}"
    return f"{rows}: {numbers}. Classes: {names}; F1 alone is that of the last of two."


def results(run: ScoredRun) -> list[Grid]:
    """Return tables of every split's scores with intervals, next to the baseline, and of each class."""
    grids = list[Grid]()
    for split, predictions in predictions_of(run).items():
        numbers, baseline = run.results[split], run.baselines.get(split, {})
        ends = bootstrap_intervals(predictions.counts)
        rows = []
        for name, value in numbers.items():
            if isinstance(value, float):
                shown = f"{value:.3f}" if name not in ends else _with_interval(value, ends[name])
                rows.append([name, shown, f"{baseline[name]:.3f}" if isinstance(baseline.get(name), float) else ""])
        note = "These rows chose the checkpoint, so their numbers are a little too good. " if split == VAL else ""
        grids.append(
            Grid(
                f"{split}: {len(predictions.labels):,} rows ({run.origins.get(split, split)})",
                ["metric", "model", "TF-IDF baseline"],
                rows,
                note + _INTERVALS,
            )
        )
        classes = [
            [
                name,
                *(_with_interval(scores_of(predictions.counts)[key][i], ends[key][:, i]) for key in _PER_CLASS),
                str(rows_of),
            ]
            for i, (name, rows_of) in enumerate(
                zip(predictions.class_names, predictions.counts.sum(axis=1).tolist(), strict=True)
            )
        ]
        grids.append(Grid(f"{split}: classes", ["class", "precision", "recall", "F1", "rows"], classes))
    return grids


def sections(run: ScoredRun) -> list[Section]:
    """Return sections on confusion, slices, probabilities, and rows to read."""
    by_split = predictions_of(run)
    predictions = by_split[run.headline]
    return [
        _confusion(by_split),
        _slices(run.headline, predictions),
        probabilities.section(run.headline, predictions, by_split.get(VAL)),
        *row_sections(run.headline, predictions),
    ]


def calibrate(run: ScoredRun) -> dict[str, float]:
    """Fit the temperature and, with two classes, the threshold of the last one after scaling, on validation."""
    val = predictions_of(run).get(VAL)
    return {} if val is None else fit(val.probabilities, val.labels)


def _with_interval(value: Any, ends: np.ndarray) -> str:
    return f"{float(value):.3f} [{ends[0]:.3f}, {ends[1]:.3f}]"


def _confusion(by_split: Mapping[str, Predictions]) -> Section:
    section = Section("Confusion")
    for split, predictions in by_split.items():
        shares = predictions.counts / np.maximum(predictions.counts.sum(axis=1, keepdims=True), 1)
        rows = [
            [name, *(f"{count} ({share:.1%})" for count, share in zip(counts, parts, strict=True))]
            for name, counts, parts in zip(
                predictions.class_names, predictions.counts.tolist(), shares.tolist(), strict=True
            )
        ]
        section.parts.append(figures.confusion(split, predictions))
        section.parts.append(
            Grid(f"{split}: rows and share of the true class", ["true \\ predicted", *predictions.class_names], rows)
        )
    return section


def _slices(split: str, predictions: Predictions) -> Section:
    section = Section("Slices")
    for name, values in predictions.slices().items():
        rows = []
        for value, members in values.items():
            counts = predictions.counts_of(members)
            scores, ends = scores_of(counts), bootstrap_intervals(counts)
            rows.append([value, *(_with_interval(scores[key], ends[key]) for key in SCORES), str(len(members))])
        few = any(len(members) < _FEW_ROWS for members in values.values())
        note = f"Slices of fewer than {_FEW_ROWS} rows tell little; their intervals are too narrow." if few else ""
        section.parts.append(Grid(f"{split}: by {name}", [name, *SCORES.values(), "rows"], rows, note))
    section.parts = section.parts or ["The data has no such column, and no lengths were kept."]
    return section
