"""Compares two regressions on the same rows. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lit_humor.pages.page import Section
from lit_humor.tasks.reports.numbers import row_grid
from lit_humor.tasks.reports.paired import (
    Compared,
    check_rows,
    compare_scores,
    difference_grid,
    differences_in_words,
    differences_of,
)
from lit_humor.tasks.reports.scored import ScoredRun

_NAMES = {"rmse": "RMSE", "mae": "MAE"}


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Check that two runs have the same rows and numbers.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    check_rows(split, runs, ("id", "text", "target"), fix)


def sections(split: str, runs: tuple[ScoredRun, ScoredRun]) -> list[Section]:
    """Return differences of metrics, and the rows with the largest differences of errors."""
    first, second = (run.predictions[split] for run in runs)
    caption, note = f"{split}: {len(first['id']):,} rows", "Below zero B has the smaller error."
    errors = [np.abs(_errors(columns)) for columns in (first, second)]
    order = np.argsort(-np.abs(errors[1] - errors[0]), kind="stable").tolist()
    shown = {"target": first["target"], "A": first["prediction"], "B": second["prediction"]}
    return [
        Section(f"Differences in {split}", [difference_grid(caption, _compared(split, runs), _NAMES, note)]),
        Section(f"Disagreements in {split}", [row_grid(f"The largest differences in {split}", first, order, shown)]),
    ]


def differences(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, float]:
    """Return ``rmse_difference`` and ``mae_difference`` (second minus first), with the ends of their intervals."""
    return differences_of(_compared(split, runs))


def in_words(differences: Mapping[str, float], names: str) -> str:
    """Return the differences as one line; ``names`` says which run is subtracted from which."""
    return f"{differences_in_words(differences, _NAMES)} ({names}; 95 % intervals)"


def _compared(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, Compared]:
    errors = [_errors(run.predictions[split]) for run in runs]
    first, second = (np.stack([one**2, np.abs(one)], axis=1) for one in errors)
    return compare_scores(first, second, lambda means: {"rmse": np.sqrt(means[:, 0]), "mae": means[:, 1]})


def _errors(columns: Mapping[str, list[float]]) -> np.ndarray:
    return np.asarray(columns["prediction"]) - np.asarray(columns["target"])
