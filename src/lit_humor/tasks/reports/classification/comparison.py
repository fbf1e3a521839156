"""Compares two classifiers on the same rows. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import binomtest

from lit_humor.core.errors import UserError
from lit_humor.metrics.confusion import bootstrap_difference, bootstrap_intervals, count_confusion, scores_of
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.reports.classification.predictions import SCORES, Predictions, predictions_of
from lit_humor.tasks.reports.classification.rows import SHOWN
from lit_humor.tasks.reports.numbers import with_interval
from lit_humor.tasks.reports.scored import ScoredRun


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Check that two runs have the same rows and classes.

    Raises:
        UserError: They have not; ``fix`` is its remedy.
    """
    _check_same_rows(split, *(predictions_of(run)[split] for run in runs), fix=fix)


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


def in_words(differences: Mapping[str, float], names: str) -> str:
    """Return the differences as one line; ``names`` says which run is subtracted from which."""
    gaps = f"F1 {differences['f1_difference']:+.4f}, accuracy {differences['accuracy_difference']:+.4f}"
    return f"{gaps} ({names}); McNemar's p {differences['mcnemar_p']:.4f}"


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """Compute McNemar's exact test of whether two models are right equally often.

    Source: McNemar 1947; the exact binomial form.

    Args:
        first: [N] bool, whether the first model is right.
        second: [N] bool, whether the second model is right.

    Returns:
        Number of rows that only the first model has right, that only the second has right, and the two-sided p value.
    """
    alone = int((first & ~second).sum()), int((second & ~first).sum())
    return *alone, float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0


def _check_same_rows(split: str, *pair: Predictions, fix: str) -> None:
    first, second = pair
    if first.class_names != second.class_names:
        found = f"classes {list(first.class_names)} and {list(second.class_names)}"
        raise UserError("runs", found=found, expected="the same classes", fix=fix)
    same = [first.columns[name] == second.columns[name] for name in ("id", "text")]
    if not all(same) or not np.array_equal(first.labels, second.labels):
        raise UserError(
            "runs",
            found=f"other rows in {split}",
            expected="two runs scored on the same rows",
            fix=fix,
        )


def _differences(split: str, first: Predictions, second: Predictions) -> Section:
    size = len(first.class_names)
    pairs = first.predicted * size + second.predicted
    counts = count_confusion(first.labels, pairs, size * size)[:size].reshape(size, size, size)
    ends, scores = bootstrap_difference(counts), [scores_of(predictions.counts) for predictions in (first, second)]
    ends_of_each = [bootstrap_intervals(predictions.counts) for predictions in (first, second)]
    rows = []
    for key, name in SCORES.items():
        a, b = (float(of_one[key]) for of_one in scores)
        each = [
            with_interval(v, (float(e[key][0]), float(e[key][1]))) for v, e in zip((a, b), ends_of_each, strict=True)
        ]
        rows.append([name, *each, f"{b - a:+.3f} [{ends[key][0]:+.3f}, {ends[key][1]:+.3f}]"])
    alone = mcnemar(first.predicted == first.labels, second.predicted == second.labels)
    return Section(
        f"Differences in {split}",
        [
            Grid(
                f"{split}: {len(first.labels):,} rows",
                ["metric", "A", "B", "B less A"],
                rows,
                "95 % intervals in brackets: bootstrap over rows; of differences it is paired.",
            ),
            Grid(
                "McNemar's exact test",
                ["only A is right", "only B is right", "p"],
                [[str(alone[0]), str(alone[1]), f"{alone[2]:.4f}"]],
                "p: how often equally good models would differ this much on such rows; seeds are left out.",
            ),
        ],
    )


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
