"""Compares two classifiers on the same rows. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lit_humor.core.errors import UserError
from lit_humor.metrics.confusion import (
    bootstrap_difference,
    bootstrap_intervals,
    bootstrap_mean_difference,
    count_confusion,
    scores_of,
)
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.reports.classification.predictions import SCORES, Predictions, predictions_of
from lit_humor.tasks.reports.classification.rows import SHOWN
from lit_humor.tasks.reports.numbers import Ends
from lit_humor.tasks.reports.paired import Compared, Estimate, check_rows, difference_grid, mcnemar, mcnemar_grid
from lit_humor.tasks.reports.scored import ScoredRun


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Check that two runs have the same rows and classes.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    first, second = (predictions_of(run)[split].class_names for run in runs)
    if first != second:
        found = f"classes {list(first)} and {list(second)}"
        raise UserError("runs", found=found, expected="the same classes", fix=fix)
    check_rows(split, runs, ("id", "text", "label"), fix)


def sections(split: str, runs: tuple[ScoredRun, ScoredRun]) -> list[Section]:
    """Return differences of scores, McNemar's test, and rows with different predictions."""
    first, second = (predictions_of(run)[split] for run in runs)
    return [_differences(split, first, second), _disagreements(split, first, second)]


def differences(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, float]:
    """Return ``mcnemar_p``, ``f1_difference`` and ``accuracy_difference`` (second minus first)."""
    pair = [predictions_of(run)[split] for run in runs]
    scores = [scores_of(predictions.counts) for predictions in pair]
    gaps = {f"{key}_difference": float(scores[1][key] - scores[0][key]) for key in ("f1", "accuracy")}
    return {"mcnemar_p": mcnemar(*(predictions.predicted == predictions.labels for predictions in pair))[2], **gaps}


def right_rows(columns: Mapping[str, Sequence[Any]]) -> dict[str, bool]:
    """Return whether the predicted class is that of the row, by the id of each row."""
    cells = zip(columns["id"], columns["label"], columns[PREDICTION], strict=True)
    return {name: label == predicted for name, label, predicted in cells}


def mean_difference(
    split: str, score: str, pairs: Sequence[tuple[ScoredRun, ScoredRun]]
) -> tuple[float, float, float] | None:
    """Return both ends of the interval of a score's mean difference over pairs, second minus first, and p.

    None: the bootstrap does not know the score, or the pairs have other rows; see ``bootstrap_mean_difference``.
    """
    both = [[predictions_of(run)[split] for run in side] for side in zip(*pairs, strict=True)]
    labels, names = both[0][0].labels, both[0][0].class_names
    if any(not np.array_equal(one.labels, labels) or one.class_names != names for side in both for one in side):
        return None
    first, second = (np.stack([one.predicted for one in side]) for side in both)
    return bootstrap_mean_difference(labels, first, second, len(names)).get(score)


def in_words(differences: Mapping[str, float], names: str) -> str:
    """Return the differences as one line; ``names`` says which run is subtracted from which."""
    gaps = f"F1 {differences['f1_difference']:+.4f}, accuracy {differences['accuracy_difference']:+.4f}"
    return f"{gaps} ({names}); McNemar's p {differences['mcnemar_p']:.4f}"


def _differences(split: str, first: Predictions, second: Predictions) -> Section:
    size = len(first.class_names)
    pairs = first.predicted * size + second.predicted
    counts = count_confusion(first.labels, pairs, size * size)[:size].reshape(size, size, size)
    of_each = [(scores_of(one.counts), bootstrap_intervals(one.counts)) for one in (first, second)]
    ends = bootstrap_difference(counts)
    compared = {}
    for key in SCORES:
        a, b = (Estimate(float(scores[key]), _as_ends(of_one[key])) for scores, of_one in of_each)
        compared[key] = Compared(a, b, Estimate(b.value - a.value, _as_ends(ends[key])))
    right = [predictions.predicted == predictions.labels for predictions in (first, second)]
    grid = difference_grid(f"{split}: {len(first.labels):,} rows", compared, SCORES)
    return Section(f"Differences in {split}", [grid, mcnemar_grid(*right)])


def _as_ends(ends: np.ndarray) -> Ends:
    return float(ends[0]), float(ends[1])


def _disagreements(split: str, first: Predictions, second: Predictions) -> Section:
    differ = np.flatnonzero(first.predicted != second.predicted)
    gap = np.abs(first.probabilities - second.probabilities).max(axis=1)
    shown = differ[np.argsort(-gap[differ], kind="stable")][:SHOWN]
    rows = [
        [
            str(first.columns["id"][row]),
            first.text(row),
            *(
                predictions.class_names[index]
                for predictions, index in (
                    (first, first.labels[row]),
                    (first, first.predicted[row]),
                    (second, second.predicted[row]),
                )
            ),
            *(f"{predictions.probabilities[row].max():.3f}" for predictions in (first, second)),
        ]
        for row in shown
    ]
    columns = ["id", "text", "label", "A", "B", "probability A", "probability B"]
    grid = Grid(f"The widest of {len(differ)} disagreements in {split}", columns, rows, "", bool(rows), texts=(1,))
    return Section(f"Disagreements in {split}", [grid])
