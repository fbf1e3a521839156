"""Tables of rows with the answers that lie near them. Legend: N rows, M of them shown, C different answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lit_humor.metrics.text_scores import common_words
from lit_humor.pages.page import Grid
from lit_humor.tasks.embedding import KEY, PASSAGE, QUERY, ranks_in
from lit_humor.tasks.reports.numbers import SHOWN, Cells, row_grid

_OWN, _OTHER = "own answer", "nearest other answer"
_COSINES = "Cosines are of the vectors of the text and an answer. A rank that ends in .5 is shared with another answer."
_COMMON = "Fewest words in common first: these were not found by their words."


def neighbours(split: str, columns: Mapping[str, Any]) -> list[Grid | str]:
    """Return a table of the rows whose answer was found worst, and one of those found first with few common words."""
    ranks = ranks_in(columns)
    worst = np.argsort(-ranks, kind="stable")[:SHOWN].tolist()
    parts: list[Grid | str] = [
        _grid(f"The {len(worst)} rows of {split} whose answer was found worst", columns, worst, ranks, _COSINES)
    ]
    if "answer" not in columns:
        return parts
    common = [common_words(*pair)[0] // 2 for pair in zip(columns["answer"], columns["text"], strict=True)]
    found = np.flatnonzero(ranks == 1).tolist()
    if not found:
        return [*parts, "No answer is the nearest of all to its text."]
    cosines = np.einsum("nd,nd->n", columns[QUERY][found], columns[PASSAGE][found])
    order = sorted(range(len(found)), key=lambda place: (common[found[place]], -cosines[place]))
    best = [found[place] for place in order[:SHOWN]]
    caption = f"{len(best)} of {len(found):,} rows of {split} whose answer is the nearest of all"
    return [*parts, _grid(caption, columns, best, ranks, f"{_COMMON} {_COSINES}", common)]


def _grid(
    caption: str,
    columns: Mapping[str, Any],
    rows: list[int],
    ranks: np.ndarray,
    note: str,
    common: list[int] | None = None,
) -> Grid:
    """Return a table of rows with their own answer and the nearest other one."""
    nearest, own_cosines, other_cosines = _nearest_others(columns, rows)
    shown: dict[str, Cells] = {
        _OWN: {row: answer_of(columns, row) for row in rows},
        "rank": {row: f"{ranks[row]:g}" for row in rows},
        "cosine": dict(zip(rows, own_cosines, strict=True)),
        _OTHER: dict(zip(rows, (answer_of(columns, other) for other in nearest), strict=True)),
        "its cosine": dict(zip(rows, other_cosines, strict=True)),
        **({"common words": dict(enumerate(common))} if common else {}),
    }
    return row_grid(caption, columns, rows, shown, texts=(_OWN, _OTHER), note=note)


def _nearest_others(columns: Mapping[str, Any], rows: list[int]) -> tuple[list[int | None], list[Any], list[Any]]:
    """Return for M rows a row with the nearest different answer, if any, and the cosines [M] of own and that answer."""
    _, first, own = np.unique(np.asarray(columns[KEY]), return_index=True, return_inverse=True)
    if len(first) < 2 or not rows:
        return [None] * len(rows), [""] * len(rows), [""] * len(rows)
    scores = np.asarray(columns[QUERY][rows], dtype=np.float64) @ columns[PASSAGE][first].T
    places = np.arange(len(rows)), own[rows]
    own_cosines = scores[places].tolist()
    scores[places] = -np.inf
    return first[scores.argmax(axis=1)].tolist(), own_cosines, scores.max(axis=1).tolist()


def answer_of(columns: Mapping[str, Any], row: int | None) -> str:
    """Return the answer of a row; the id of the row if its text was not kept; nothing for no row."""
    if row is None:
        return ""
    return str(columns["answer"][row]) if "answer" in columns else f"answer of {columns['id'][row]}"
