"""Two classifiers on the same rows. Legend: N rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import binomtest

from lit_humor.core.errors import UserError
from lit_humor.metrics.confusion import bootstrap_difference, count_confusion, scores_of
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.reports.classification.predictions import SCORES, Predictions, predictions_of
from lit_humor.tasks.reports.classification.rows import SHOWN
from lit_humor.tasks.reports.scored import ScoredRun


def check_same_rows(split: str, runs: tuple[ScoredRun, ScoredRun], fix: str) -> None:
    """Refuse two runs that were scored on other rows or classes.

    Raises:
        UserError: Says what to type instead.
    """
    _check_same_rows(split, *(predictions_of(run)[split] for run in runs), fix=fix)


def sections(split: str, runs: tuple[ScoredRun, ScoredRun]) -> list[Section]:
    """Scores that differ, McNemar's test, and rows that are judged differently."""
    one, other = (predictions_of(run)[split] for run in runs)
    return [_differences(split, one, other), _disagreements(split, one, other)]


def differences(split: str, runs: tuple[ScoredRun, ScoredRun]) -> dict[str, float]:
    """``mcnemar_p``, ``f1_difference`` and ``accuracy_difference`` (second less first)."""
    pair = [predictions_of(run)[split] for run in runs]
    scores = [scores_of(found.counts) for found in pair]
    gaps = {f"{key}_difference": float(scores[1][key] - scores[0][key]) for key in ("f1", "accuracy")}
    return {"mcnemar_p": mcnemar(*(found.predicted == found.labels for found in pair))[2], **gaps}


def in_words(found: Mapping[str, float], names: str) -> str:
    """Differences on one line; ``names`` says which run is taken from which."""
    gaps = f"F1 {found['f1_difference']:+.4f}, accuracy {found['accuracy_difference']:+.4f}"
    return f"{gaps} ({names}); McNemar's p {found['mcnemar_p']:.4f}"


def mcnemar(first: np.ndarray, second: np.ndarray) -> tuple[int, int, float]:
    """McNemar's exact test of whether two models are right equally often.

    Source: McNemar 1947; the exact binomial form.

    Args:
        first: [N] bool, whether the first model is right.
        second: [N] bool, the second.

    Returns:
        Rows that the first alone has right, that the second alone has right, and the two-sided p value.
    """
    alone = int((first & ~second).sum()), int((second & ~first).sum())
    return *alone, float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0


def _check_same_rows(split: str, *pair: Predictions, fix: str) -> None:
    one, other = pair
    if one.class_names != other.class_names:
        found = f"classes {list(one.class_names)} and {list(other.class_names)}"
        raise UserError("runs", found=found, expected="the same classes", fix=fix)
    same = [one.columns[name] == other.columns[name] for name in ("id", "text")]
    if not all(same) or not np.array_equal(one.labels, other.labels):
        raise UserError(
            "runs",
            found=f"other rows in {split}",
            expected="two runs scored on the same rows",
            fix=fix,
        )


def _differences(split: str, one: Predictions, other: Predictions) -> Section:
    size = len(one.class_names)
    pairs = one.predicted * size + other.predicted
    counts = count_confusion(one.labels, pairs, size * size)[:size].reshape(size, size, size)
    ends, scores = bootstrap_difference(counts), (scores_of(one.counts), scores_of(other.counts))
    rows = []
    for key, name in SCORES.items():
        first, second = float(scores[0][key]), float(scores[1][key])
        rows.append(
            [name, f"{first:.3f}", f"{second:.3f}", f"{second - first:+.3f} [{ends[key][0]:+.3f}, {ends[key][1]:+.3f}]"]
        )
    alone = mcnemar(one.predicted == one.labels, other.predicted == other.labels)
    return Section(
        f"Differences in {split}",
        [
            Grid(
                f"{split}: {len(one.labels):,} rows",
                ["metric", "A", "B", "B less A"],
                rows,
                "95 % intervals in brackets: paired bootstrap over rows.",
            ),
            Grid(
                "McNemar's exact test",
                ["only A is right", "only B is right", "p"],
                [[str(alone[0]), str(alone[1]), f"{alone[2]:.4f}"]],
                "p: how often two models of equal worth would differ so much on these rows. Seeds are not in it.",
            ),
        ],
    )


def _disagreements(split: str, one: Predictions, other: Predictions) -> Section:
    differ = np.flatnonzero(one.predicted != other.predicted)
    gap = np.abs(one.probabilities - other.probabilities).max(axis=1)
    shown = differ[np.argsort(-gap[differ], kind="stable")][:SHOWN]
    rows = [
        [
            str(one.columns["id"][row]),
            one.text(row),
            *(
                found.class_names[index]
                for found, index in ((one, one.labels[row]), (one, one.predicted[row]), (other, other.predicted[row]))
            ),
            *(f"{found.probabilities[row].max():.3f}" for found in (one, other)),
        ]
        for row in shown
    ]
    columns = ["id", "text", "label", "A", "B", "probability A", "probability B"]
    grid = Grid(f"The widest of {len(differ)} disagreements in {split}", columns, rows, "", bool(rows), texts=(1,))
    return Section(f"Disagreements in {split}", [grid])
