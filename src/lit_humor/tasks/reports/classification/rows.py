"""Tables of rows of a split to read, such as mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lit_humor.core.errors import MissingExtraError
from lit_humor.metrics.intervals import share_interval
from lit_humor.metrics.label_errors import LEAST_F1, suspect_labels
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.reports.classification.predictions import Predictions

SHOWN = 50
_DOUBTS = (
    "By confident learning (Northcutt et al. 2021): the model finds another class as likely as it usually does for "
    "rows of that class. A model that errs often doubts many labels that are right; read them as questions."
)


def row_sections(split: str, predictions: Predictions) -> list[Section]:
    """Return the most certain mistakes, the least certain rows, doubtful labels, and twins with one prediction."""
    confidence = predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions.predicted != predictions.labels)
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")]
    top = np.sort(predictions.probabilities, axis=1)
    close = np.argsort(top[:, -1] - top[:, -2], kind="stable")
    sections = [
        Section("Mistakes", [row_grid(f"The surest of {len(mistakes)} mistakes in {split}", predictions, mistakes)]),
        Section("Close calls", [row_grid(f"The closest calls in {split}", predictions, close)]),
        Section("Doubtful labels", [_doubtful(split, predictions)]),
    ]
    twins = twin_pairs(predictions)
    if len(twins):
        broken = twins[predictions.predicted[twins[:, 0]] == predictions.predicted[twins[:, 1]]]
        caption = f"{len(broken)} of {len(twins)} pairs of {split} judged alike"
        sections.append(Section("Twins", [_order(predictions, twins), _twins(caption, predictions, broken)]))
    return sections


def twin_pairs(predictions: Predictions) -> np.ndarray:
    """Return [P, 2], groups of two rows with different labels: a joke and its serious twin."""
    groups: dict[Any, list[int]] = {}
    for row, group in enumerate(predictions.columns.get("group", ())):
        groups.setdefault(group, []).append(row)
    pairs = [
        rows
        for rows in groups.values()
        if len(rows) == 2 and predictions.labels[rows[0]] != predictions.labels[rows[1]]
    ]
    return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)


def pairs_in_order(predictions: Predictions, pairs: np.ndarray) -> float:
    """Return the number of pairs [P, 2] whose joke has the higher probability; equal ones count half.

    Chance is half of them. No threshold is involved, so this says whether a model tells twins apart at all.
    """
    scores = predictions.probabilities[pairs, -1]
    is_joke_first = predictions.labels[pairs[:, 0]] > predictions.labels[pairs[:, 1]]
    ahead = np.where(is_joke_first, scores[:, 0] - scores[:, 1], scores[:, 1] - scores[:, 0])
    return float((ahead > 0).sum() + 0.5 * (ahead == 0).sum())


def _order(predictions: Predictions, pairs: np.ndarray) -> str:
    """Return a sentence: how often the joke is thought more likely a joke than its twin."""
    count = pairs_in_order(predictions, pairs)
    low, high = share_interval(count, len(pairs))
    shown = f"{count:g} of {len(pairs)} pairs, {count / len(pairs):.3f} [{low:.3f}, {high:.3f}]"
    return f"The joke has the higher probability of {predictions.class_names[-1]} in {shown}; chance is 0.5."


def _twins(caption: str, predictions: Predictions, pairs: np.ndarray) -> Grid:
    """Return a table of pairs: the joke next to its serious twin."""
    last = len(predictions.class_names) - 1
    rows = []
    for pair in pairs:
        serious, joke = sorted((int(row) for row in pair), key=lambda row: predictions.labels[row])
        probabilities = (f"{predictions.probabilities[row, last]:.3f}" for row in (joke, serious))
        judged = predictions.class_names[predictions.predicted[joke]]
        rows.append(
            [
                str(predictions.columns["group"][joke]),
                predictions.text(joke),
                predictions.text(serious),
                judged,
                *probabilities,
            ]
        )
    name = predictions.class_names[last]
    columns = ["pair", "joke", "serious twin", "both judged", f"p({name}) of the joke", "of its twin"]
    return Grid(caption, columns, rows, "", bool(rows), texts=(1, 2))


def _doubtful(split: str, predictions: Predictions) -> Grid | str:
    try:
        suspects = suspect_labels(predictions.labels, predictions.probabilities)
    except MissingExtraError as error:
        return str(error)
    if suspects is None:
        return f"Labels were not judged: the model's macro F1 is below {LEAST_F1}."
    mistakes = f"{int((predictions.predicted != predictions.labels).sum())} mistakes in {len(predictions.labels)} rows"
    caption = f"{len(suspects)} labels of {split} that the model doubts ({mistakes})"
    return row_grid(caption, predictions, suspects, note=_DOUBTS)


def row_grid(
    caption: str, predictions: Predictions, rows: Sequence[int] | np.ndarray, limit: int | None = SHOWN, note: str = ""
) -> Grid:
    """Return a table of rows in the given order, at most ``limit`` of them."""
    shown = list(rows)[:limit]
    cells = [
        [
            str(predictions.columns["id"][row]),
            predictions.text(row),
            predictions.class_names[predictions.labels[row]],
            predictions.class_names[predictions.predicted[row]],
            f"{predictions.probabilities[row].max():.3f}",
        ]
        for row in shown
    ]
    cut = f"The first {len(shown)}; all rows are in predictions/." if len(shown) < len(rows) else ""
    columns = ["id", "text", "label", "prediction", "probability"]
    return Grid(caption, columns, cells, f"{note} {cut}".strip(), bool(cells), texts=(1,))
