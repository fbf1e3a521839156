"""The rows of a split that are worth reading, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lit_humor.core.errors import MissingExtraError
from lit_humor.metrics.label_errors import LEAST_F1, suspect_labels
from lit_humor.pages.page import Grid, Section
from lit_humor.tasks.reports.classification.predictions import Predictions

SHOWN = 50
_DOUBTS = (
    "By confident learning (Northcutt et al. 2021): the model finds another class as likely as it usually does for "
    "rows of that class. A model that errs often doubts many labels that are right; read them as questions."
)


def row_sections(split: str, found: Predictions) -> list[Section]:
    """The surest mistakes, the closest calls, doubtful labels, and pairs of twins judged alike."""
    confidence = found.probabilities.max(axis=1)
    wrong = np.flatnonzero(found.predicted != found.labels)
    mistakes = wrong[np.argsort(-confidence[wrong], kind="stable")]
    top = np.sort(found.probabilities, axis=1)
    close = np.argsort(top[:, -1] - top[:, -2], kind="stable")
    sections = [
        Section("Mistakes", [row_grid(f"The surest of {len(mistakes)} mistakes in {split}", found, mistakes)]),
        Section("Close calls", [row_grid(f"The closest calls in {split}", found, close)]),
        Section("Doubtful labels", [_doubtful(split, found)]),
    ]
    twins = twin_pairs(found)
    if len(twins):
        broken = twins[found.predicted[twins[:, 0]] == found.predicted[twins[:, 1]]]
        told = f"{len(broken)} of {len(twins)} pairs of {split} judged alike"
        sections.append(Section("Twins", [_twins(told, found, broken)]))
    return sections


def twin_pairs(found: Predictions) -> np.ndarray:
    """[P, 2] rows of groups that hold one row of each of two classes: a joke and its serious twin."""
    groups: dict[Any, list[int]] = {}
    for row, group in enumerate(found.columns.get("group", ())):
        groups.setdefault(group, []).append(row)
    pairs = [rows for rows in groups.values() if len(rows) == 2 and found.labels[rows[0]] != found.labels[rows[1]]]
    return np.asarray(pairs, dtype=np.int64).reshape(-1, 2)


def _twins(caption: str, found: Predictions, pairs: np.ndarray) -> Grid:
    """A row a pair: the joke beside its serious twin."""
    last = len(found.class_names) - 1
    rows = []
    for pair in pairs:
        serious, joke = sorted((int(row) for row in pair), key=lambda row: found.labels[row])
        probabilities = (f"{found.probabilities[row, last]:.3f}" for row in (joke, serious))
        judged = found.class_names[found.predicted[joke]]
        rows.append([str(found.columns["group"][joke]), found.text(joke), found.text(serious), judged, *probabilities])
    name = found.class_names[last]
    columns = ["pair", "joke", "serious twin", "both judged", f"p({name}) of the joke", "of its twin"]
    return Grid(caption, columns, rows, "", bool(rows), texts=(1, 2))


def _doubtful(split: str, found: Predictions) -> Grid | str:
    try:
        suspects = suspect_labels(found.labels, found.probabilities)
    except MissingExtraError as error:
        return str(error)
    if suspects is None:
        return f"Labels were not judged: the model's macro F1 is below {LEAST_F1}."
    mistakes = int((found.predicted != found.labels).sum())
    told = f"{len(suspects)} labels of {split} that the model doubts ({mistakes} mistakes in {len(found.labels)} rows)"
    return row_grid(told, found, suspects, note=_DOUBTS)


def row_grid(
    caption: str, found: Predictions, rows: Sequence[int] | np.ndarray, limit: int | None = SHOWN, note: str = ""
) -> Grid:
    """A table of rows in the given order, the first fifty if not told otherwise."""
    shown = list(rows)[:limit]
    cells = [
        [
            str(found.columns["id"][row]),
            found.text(row),
            found.class_names[found.labels[row]],
            found.class_names[found.predicted[row]],
            f"{found.probabilities[row].max():.3f}",
        ]
        for row in shown
    ]
    cut = f"The first {len(shown)}; all rows are in predictions/." if len(shown) < len(rows) else ""
    columns = ["id", "text", "label", "prediction", "probability"]
    return Grid(caption, columns, cells, f"{note} {cut}".strip(), bool(cells), texts=(1,))
