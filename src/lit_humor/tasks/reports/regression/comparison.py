"""Compares two regressions on the same rows. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lit_humor.core.errors import UserError
from lit_humor.metrics.intervals import bootstrap_of_means
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.regression import Regression
from lit_humor.tasks.reports.numbers import row_grid
from lit_humor.tasks.reports.scored import ScoredRun

_SCORES = ("rmse", "mae")


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Check that two runs have the same rows and numbers.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    first, second = (run.predictions[split] for run in runs)
    if any(first[name] != second[name] for name in ("id", "text", "target")):
        raise UserError("runs", found=f"other rows in {split}", expected="two runs scored on the same rows", fix=fix)


def sections(split: str, runs: tuple[ScoredRun, ScoredRun]) -> list[Section]:
    """Return differences of metrics, and the rows with the largest differences of errors."""
    first, second = (run.predictions[split] for run in runs)
    gaps = differences(split, runs)
    ends = _ends(split, runs)
    numbers = [Regression().measure_columns(columns) for columns in (first, second)]
    rows = [
        [name, *(f"{of_run[name]:.3f}" for of_run in numbers), _with_ends(gaps[f"{name}_difference"], ends[name])]
        for name in _SCORES
    ]
    note = "95 % intervals in brackets: paired bootstrap over rows. Below zero B has the smaller error."
    grid = Grid(f"{split}: {len(first['id']):,} rows", ["metric", "A", "B", "B less A"], rows, note)
    errors = [np.abs(_errors(columns)) for columns in (first, second)]
    order = np.argsort(-np.abs(errors[1] - errors[0]), kind="stable").tolist()
    shown = {"target": first["target"], "A": first["prediction"], "B": second["prediction"]}
    return [
        Section(f"Differences in {split}", [grid]),
        Section(f"Disagreements in {split}", [row_grid(f"The largest differences in {split}", first, order, shown)]),
    ]


def differences(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, float]:
    """Return ``rmse_difference`` and ``mae_difference`` (second minus first), with the ends of their intervals."""
    numbers = [Regression().measure_columns(run.predictions[split]) for run in runs]
    gaps = {}
    for name, (low, high) in _ends(split, runs).items():
        gaps[f"{name}_difference"] = numbers[1][name] - numbers[0][name]
        gaps |= {f"{name}_low": low, f"{name}_high": high}
    return gaps


def in_words(differences: Mapping[str, float], names: str) -> str:
    """Return the differences as one line; ``names`` says which run is subtracted from which."""
    gaps = []
    for name in _SCORES:
        ends = differences[f"{name}_low"], differences[f"{name}_high"]
        gaps.append(f"{name.upper()} {_with_ends(differences[f'{name}_difference'], ends)}")
    return f"{', '.join(gaps)} ({names}; 95 % intervals)"


def _ends(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, tuple[float, float]]:
    first, second = (_errors(run.predictions[split]) for run in runs)
    values = np.stack([first**2, second**2, np.abs(first), np.abs(second)], axis=1)
    return bootstrap_of_means(
        values,
        lambda means: {
            "rmse": np.sqrt(means[:, 1]) - np.sqrt(means[:, 0]),
            "mae": means[:, 3] - means[:, 2],
        },
    )


def _errors(columns: Mapping[str, list[float]]) -> np.ndarray:
    return np.asarray(columns["prediction"]) - np.asarray(columns["target"])


def _with_ends(value: float, ends: tuple[float, float]) -> str:
    return f"{value:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}]"
