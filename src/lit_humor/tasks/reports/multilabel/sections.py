"""The sections on the page of a run with several labels for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lit_humor.core.batch import PROBABILITY
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.multilabel import MultiLabel
from lit_humor.tasks.reports.numbers import lead_of, result_grids, row_grid, slice_grids
from lit_humor.tasks.reports.scored import ScoredRun


def lead(run: ScoredRun) -> str:
    """Return a sentence with the main metrics and their intervals."""
    return lead_of(run, _task(run))


def results(run: ScoredRun) -> list[Grid]:
    """Return tables of every split's scores with intervals, next to the baseline, and of each label."""
    grids = result_grids(run, _task(run))
    for split in run.predictions:
        rows = [
            [name, *(f"{label[key]:.3f}" for key in ("precision", "recall", "f1")), str(label["rows"])]
            for name, label in run.results[split]["labels"].items()
        ]
        grids.append(Grid(f"{split}: labels", ["label", "precision", "recall", "F1", "rows"], rows))
    return grids


def sections(run: ScoredRun) -> list[Section]:
    """Return sections on slices and on the most certain mistakes."""
    split = run.headline
    columns = run.predictions[split]
    mistakes = [
        row for row, pair in enumerate(zip(columns["label"], columns["prediction"], strict=True)) if len({*pair}) > 1
    ]
    names = _task(run).class_names
    mistakes.sort(key=lambda row: -_doubt(columns, names, row))
    shown = {name: columns[name] for name in ("label", "prediction")}
    shown |= {f"p({name})": columns[PROBABILITY + name] for name in names}
    return [
        Section("Slices", list(slice_grids(split, columns, _task(run))) or ["The data has no slices."]),
        Section(
            "Mistakes", [row_grid(f"{len(mistakes)} rows of {split} with a wrong label", columns, mistakes, shown)]
        ),
    ]


def calibrate(run: ScoredRun) -> dict[str, float]:
    """Return nothing, since nothing is fitted on validation."""
    return {}


def _task(run: ScoredRun) -> MultiLabel:
    """Return the task, with the names of the labels."""
    return MultiLabel(run.results[run.headline]["labels"])


def _doubt(columns: Mapping[str, Sequence[Any]], names: Sequence[str], row: int) -> float:
    """Return the largest distance of a row's probabilities from its labels."""
    return max(abs(columns[f"is_{name}"][row] - columns[PROBABILITY + name][row]) for name in names)
