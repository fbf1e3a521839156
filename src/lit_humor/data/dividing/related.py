"""Finds the rows that must stay in one split. Legend: N rows, P pairs of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lit_humor.core.files import replacing
from lit_humor.data.dividing.similarity import clusters, exact_groups, near_pairs
from lit_humor.data.examples import Examples

LEVELS = (0.7, 0.8, 0.9, 1.0)  # similarities at which a cluster that is too large is divided, in this order
_MIN_CACHED_ROWS = 20_000  # the pairs of more rows are cached, as the search takes seconds
_FORMAT = 1  # increase when the search for pairs changes


@dataclass(frozen=True)
class Related:
    """Rows that belong together: rows of one group, of equal texts, or of nearly equal texts.

    Attributes:
        units: [N] int64, the same number for rows of one group or of equal texts; these are never separated.
        pairs: [P, 2] int64, rows with nearly equal texts.
        similarity: [P] float64, similarity of each pair.
        thresholds: [N] float64, smallest similarity of a pair that keeps the row in the same split.
    """

    units: np.ndarray
    pairs: np.ndarray
    similarity: np.ndarray
    thresholds: np.ndarray

    def clusters(self) -> np.ndarray:
        """Return [N] int64 cluster numbers: rows with the same number stay in one split."""
        joined_pairs = self.pairs[self.similarity >= self.thresholds[self.pairs].max(axis=1)]
        if not len(joined_pairs):
            return self.units
        units = np.unique(self.units, return_inverse=True)[1]
        unit_clusters = clusters(int(units.max()) + 1, units[joined_pairs])
        return unit_clusters[units].astype(np.int64)

    def divide(self, rows: np.ndarray, level: float) -> Related:
        """Return a copy in which the rows [N] bool stay only with rows whose similarity is at least ``level``.

        At level 1 only groups and equal texts stay together.
        """
        thresholds = np.where(rows, np.maximum(self.thresholds, np.inf if level >= 1 else level), self.thresholds)
        return Related(self.units, self.pairs, self.similarity, thresholds)

    def take(self, rows: np.ndarray) -> Related:
        """Return the relations among some rows, numbered in the given order."""
        new_positions = np.full(len(self.units), -1)
        new_positions[rows] = np.arange(len(rows))
        pairs = new_positions[self.pairs]
        both_taken = (pairs >= 0).all(axis=1)
        return Related(self.units[rows], pairs[both_taken], self.similarity[both_taken], self.thresholds[rows])


def find_related(
    examples: Examples,
    similarity: float | None,
    cache_dir: str | Path | None = None,
    announce: Callable[[str], object] = lambda line: None,
) -> Related:
    """Find the rows that must stay in one split.

    Cost on one core: 8,000 short texts take about a second, 200,000 about a minute the first time; the pairs of more
    than 20,000 rows are cached.

    Args:
        examples: The rows.
        similarity: Smallest Jaccard similarity of the sets of character 4-grams of nearly equal texts; 1 joins only
            equal texts (up to case, white space and punctuation), None joins only groups.
        cache_dir: Folder of the cache; None disables it.
        announce: Called with a message before a long search.
    """
    group_numbers = np.arange(len(examples)) if examples.groups is None else _group_numbers(examples.groups)
    no_pairs = np.empty((0, 3))
    if similarity is None:
        return _make_related(group_numbers, no_pairs, 1.0)
    texts = examples.whole_texts()
    links = [(group[0], row) for group in exact_groups(texts) for row in group[1:]]
    first_row_of_group = {int(number): row for row, number in reversed(list(enumerate(group_numbers)))}
    links += [(first_row_of_group[int(number)], row) for row, number in enumerate(group_numbers)]
    pairs = no_pairs if similarity >= 1 else _near_pairs(texts, similarity, cache_dir, announce)
    return _make_related(clusters(len(texts), links).astype(np.int64), pairs, similarity)


def _group_numbers(values: list[str]) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1]


def _make_related(units: np.ndarray, pairs: np.ndarray, similarity: float) -> Related:
    return Related(units, pairs[:, :2].astype(np.int64), pairs[:, 2], np.full(len(units), similarity))


def _near_pairs(
    texts: list[str], similarity: float, cache_dir: str | Path | None, announce: Callable[[str], object]
) -> np.ndarray:
    """Return [P, 3]: row, later row, similarity; from the cache if they are there."""
    if cache_dir is None or len(texts) < _MIN_CACHED_ROWS:
        return np.asarray(near_pairs(texts, similarity)).reshape(-1, 3)
    digest = hashlib.sha256(f"{_FORMAT}/{similarity}".encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = Path(cache_dir) / "alike" / f"{digest.hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):  # an unreadable cache file is replaced
        return np.asarray(np.load(path))
    announce(f"Searching {len(texts):,} rows for nearly equal texts, to keep them in one split; the result is cached.")
    pairs = np.asarray(near_pairs(texts, similarity)).reshape(-1, 3)
    with suppress(OSError), replacing(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, pairs)
    return pairs
