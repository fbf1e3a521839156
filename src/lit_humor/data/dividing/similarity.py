"""Finds equal and nearly equal texts, and clusters of linked rows.

Legend: N texts, P numbers of the MinHash sketch of a text.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_NGRAM = 4  # characters
_SKETCH_SIZE, _BAND_SIZE = 256, 5  # 51 bands of 5: misses one of 62 pairs of similarity 0.6, and one of 12,000 of 0.7
_MAX_BAND_MEMBERS = 50  # if more texts share a band, they are compared with the first of them only
_CHUNK = 8192  # texts
_SEED = 7
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # select how an emoji is drawn; Unicode calls them marks


class _Characters(dict[int, "str | None"]):
    """Table for ``str.translate``: keeps letters, marks, digits, ``_``; drops invisible characters; blanks the rest."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        invisible = category == "Cf" or code in _VARIATION_SELECTORS
        self[code] = None if invisible else chr(code) if category[0] in "LMN" or code == ord("_") else " "
        return self[code]


_CHARACTER_TABLE = _Characters()


def normalise(text: str) -> str:
    """Return a text in lower case without punctuation and extra white space; with punctuation if nothing else is left.

    Letters are normalised by Unicode's NFKC, so that a decomposed or full-width letter equals the plain letter. Marks
    stay, as the vowels of many scripts are marks.
    """
    folded = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(folded.translate(_CHARACTER_TABLE).split()) or " ".join(text.split())


def exact_groups(texts: Iterable[str]) -> list[list[int]]:
    """Return groups of two or more rows whose texts are equal up to case, white space and punctuation."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        groups[normalise(text)].append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


def near_pairs(texts: Sequence[str], similarity: float) -> list[tuple[int, int, float]]:
    """Find pairs of different texts that share most of their character 4-grams.

    MinHash and banding propose candidates (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3); then their
    exact similarity is computed: no pair below ``similarity`` is reported; about one in 60 pairs at 0.6 is missed.

    Cost: 200,000 short texts take about a minute and 1 GB on one core.

    Args:
        texts: [N] texts.
        similarity: Smallest Jaccard similarity of the sets of 4-grams of two nearly equal texts, in (0, 1].

    Returns:
        Sorted (row, later row, similarity); the first of several equal texts represents all of them.
    """
    from rensa import RMinHash

    first_rows = {text: row for row, text in reversed(list(enumerate(map(normalise, texts))))}
    unique, rows = list(first_rows), list(first_rows.values())
    sketches = np.empty((len(unique), _SKETCH_SIZE), dtype=np.uint32)
    for start in range(0, len(unique), _CHUNK):  # frees the sets of one chunk before the next one is made
        grams = [_ngrams(text) for text in unique[start : start + _CHUNK]]
        sketches[start : start + _CHUNK] = RMinHash.digest_matrix_from_token_sets(grams, _SKETCH_SIZE, _SEED).to_rows()
    pairs = []
    for first, second in _candidates(sketches):
        first_grams, second_grams = _ngrams(unique[first]), _ngrams(unique[second])
        jaccard = len(first_grams & second_grams) / len(first_grams | second_grams)
        if jaccard >= similarity:
            pairs.append((min(rows[first], rows[second]), max(rows[first], rows[second]), jaccard))
    return sorted(pairs)


def _ngrams(text: str) -> set[str]:
    """Set of the character 4-grams of a text."""
    text = f" {text} "
    return {text[start : start + _NGRAM] for start in range(max(1, len(text) - _NGRAM + 1))}


def _candidates(sketches: np.ndarray) -> set[tuple[int, int]]:
    """Return pairs of texts whose sketches [N, P] are equal in at least one band."""
    pairs: set[tuple[int, int]] = set()
    for start in range(0, sketches.shape[1] - _BAND_SIZE + 1, _BAND_SIZE):
        band = np.ascontiguousarray(sketches[:, start : start + _BAND_SIZE])
        keys = band.view(np.dtype((np.void, band.dtype.itemsize * _BAND_SIZE))).ravel()
        order = np.argsort(keys, kind="stable")
        equal_to_next = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        for members in _runs(order, equal_to_next):
            pairs.update(
                combinations(members, 2)
                if len(members) <= _MAX_BAND_MEMBERS
                else ((members[0], m) for m in members[1:])
            )
    return pairs


def _runs(order: np.ndarray, equal_to_next: np.ndarray) -> Iterator[list[int]]:
    """Yield runs of equal keys in ``order``; ``equal_to_next``: positions whose key equals the next one."""
    for run in np.split(equal_to_next, np.flatnonzero(np.diff(equal_to_next) > 1) + 1):
        if len(run):
            yield sorted(order[run[0] : run[-1] + 2].tolist())


def clusters(num_rows: int, links: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return [N] int cluster numbers: rows that are linked, directly or via others, have the same number."""
    edges = np.asarray(list(links), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(num_rows, num_rows))
    return connected_components(graph, directed=False)[1]
