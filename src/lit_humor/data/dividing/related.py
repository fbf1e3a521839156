"""Which rows of a split belong together. Legend: N rows, P pairs of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lit_humor.data.dividing.alike import clusters, exact_groups, near_pairs
from lit_humor.data.examples import Examples
from lit_humor.runs import record

LEVELS = (0.7, 0.8, 0.9, 1.0)  # at which a cluster that is too large is divided, one after the other
_KEPT_FROM = 20_000  # rows; from here on pairs are kept in the cache, since they take seconds
_FORMAT = 1  # raise when pairs are found in another way


@dataclass(frozen=True)
class Related:
    """Which rows belong together: those of one group, of equal texts, or of texts that are nearly alike.

    Attributes:
        units: [N] int64, the same number for rows of one group or of equal texts; these are never torn apart.
        pairs: [P, 2] int64, rows whose texts are nearly alike.
        similarity: [P] float64 of each pair.
        least: [N] float64, the similarity from which on a row stays together with others.
    """

    units: np.ndarray
    pairs: np.ndarray
    similarity: np.ndarray
    least: np.ndarray

    def clusters(self) -> np.ndarray:
        """[N] int64, the same number for rows that stay together."""
        together = self.pairs[self.similarity >= self.least[self.pairs].max(axis=1)]
        if not len(together):
            return self.units
        units = np.unique(self.units, return_inverse=True)[1]
        joined = clusters(int(units.max()) + 1, units[together])
        return joined[units].astype(np.int64)

    def divide(self, rows: np.ndarray, level: float) -> Related:
        """The same, but the rows [N] bool stay together only with rows of equal text, or as alike as ``level``.

        At level 1 only equal texts stay together, and groups.
        """
        least = np.where(rows, np.maximum(self.least, np.inf if level >= 1 else level), self.least)
        return Related(self.units, self.pairs, self.similarity, least)

    def take(self, rows: np.ndarray) -> Related:
        """What is known of some rows, in the given order."""
        places = np.full(len(self.units), -1)
        places[rows] = np.arange(len(rows))
        pairs = places[self.pairs]
        there = (pairs >= 0).all(axis=1)
        return Related(self.units[rows], pairs[there], self.similarity[there], self.least[rows])


def find_related(
    examples: Examples,
    similarity: float | None,
    cache_dir: str | Path | None = None,
    announce: Callable[[str], object] = lambda line: None,
) -> Related:
    """Look for rows that must stay in one split.

    Price on one core: 8,000 short texts take about a second, 200,000 about a minute the first time; pairs of more than
    20,000 rows are kept in the cache.

    Args:
        examples: The rows.
        similarity: Jaccard similarity of the sets of character 4-grams from which on two texts are alike; 1 joins
            equal texts alone, None looks at groups only. Equal is: up to case, white space and punctuation.
        cache_dir: Folder of the cache; None keeps nothing.
        announce: Called with a line before the work takes long.
    """
    codes = np.arange(len(examples)) if examples.groups is None else _codes(examples.groups)
    no_pairs = np.empty((0, 3))
    if similarity is None:
        return _related(codes, no_pairs, 1.0)
    texts = examples.whole_texts()
    links = [(group[0], row) for group in exact_groups(texts) for row in group[1:]]
    first = {int(code): row for row, code in reversed(list(enumerate(codes)))}
    links += [(first[int(code)], row) for row, code in enumerate(codes)]
    found = no_pairs if similarity >= 1 else _near_pairs(texts, similarity, cache_dir, announce)
    return _related(clusters(len(texts), links).astype(np.int64), found, similarity)


def _codes(values: list[str]) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1]


def _related(units: np.ndarray, found: np.ndarray, similarity: float) -> Related:
    return Related(units, found[:, :2].astype(np.int64), found[:, 2], np.full(len(units), similarity))


def _near_pairs(
    texts: list[str], similarity: float, cache_dir: str | Path | None, announce: Callable[[str], object]
) -> np.ndarray:
    """[P, 3] row, later row, similarity."""
    if cache_dir is None or len(texts) < _KEPT_FROM:
        return np.asarray(near_pairs(texts, similarity)).reshape(-1, 3)
    digest = hashlib.sha256(f"{_FORMAT}/{similarity}".encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = Path(cache_dir) / "alike" / f"{digest.hexdigest()[:32]}.npy"
    with suppress(OSError, ValueError, EOFError):  # looked for anew where it cannot be read
        return np.asarray(np.load(path))
    announce(f"Looking for texts alike among {len(texts):,} rows, which share a split; the result is kept.")
    found = np.asarray(near_pairs(texts, similarity)).reshape(-1, 3)
    with suppress(OSError), record.replacing(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, found)
    return found
