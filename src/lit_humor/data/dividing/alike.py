"""Texts that are equal or nearly so, and the clusters that they make.

Legend: N texts, P numbers of a text's sketch.
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
_NUMBERS, _BAND = 256, 5  # 51 bands of 5: a pair of similarity 0.6 is missed once in 62 times, of 0.7 once in 12,000
_CROWD = 50  # a band shared by more texts than this is compared with its first text only
_CHUNK = 8192  # texts
_SEED = 7
_VARIATION_SELECTORS = range(0xFE00, 0xFE10)  # how an emoji is drawn; they are marks to Unicode


class _Characters(dict[int, "str | None"]):
    """For ``str.translate``: letters, marks, digits and ``_`` stay, what nobody sees goes, all else is a blank."""

    def __missing__(self, code: int) -> str | None:
        category = unicodedata.category(chr(code))
        invisible = category == "Cf" or code in _VARIATION_SELECTORS
        self[code] = None if invisible else chr(code) if category[0] in "LMN" or code == ord("_") else " "
        return self[code]


_CHARACTERS = _Characters()


def normalise(text: str) -> str:
    """What is left of a text without case, white space and punctuation; all of it where that is nothing.

    Letters are compared as Unicode's NFKC writes them: a decomposed or full-width letter is the letter itself. Marks
    stay, since vowels of many scripts are marks.
    """
    folded = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(folded.translate(_CHARACTERS).split()) or " ".join(text.split())


def exact_groups(texts: Iterable[str]) -> list[list[int]]:
    """Rows whose texts are equal up to case, white space and punctuation, two or more each."""
    groups: dict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        groups[normalise(text)].append(row)
    return [rows for rows in groups.values() if len(rows) > 1]


def near_pairs(texts: Sequence[str], similarity: float) -> list[tuple[int, int, float]]:
    """Pairs of different texts that share most of their character 4-grams.

    Candidates by MinHash and banding (Broder 1997; Leskovec et al., Mining of Massive Datasets, ch. 3), each
    then checked exactly: no pair below ``similarity`` is reported; of pairs at 0.6 about one in 60 is missed.

    Price: 200,000 short texts take about a minute and 1 GB on one core.

    Args:
        texts: [N] texts.
        similarity: Jaccard similarity of the sets of 4-grams from which on two texts are nearly alike, in (0, 1].

    Returns:
        (row, later row, similarity), one row standing for all exactly equal ones.
    """
    from rensa import RMinHash

    first = {text: row for row, text in reversed(list(enumerate(map(normalise, texts))))}
    unique, rows = list(first), list(first.values())
    sketches = np.empty((len(unique), _NUMBERS), dtype=np.uint32)
    for start in range(0, len(unique), _CHUNK):  # the sets of a chunk are gone before those of the next are made
        grams = [_ngrams(text) for text in unique[start : start + _CHUNK]]
        sketches[start : start + _CHUNK] = RMinHash.digest_matrix_from_token_sets(grams, _NUMBERS, _SEED).to_rows()
    pairs = []
    for one, other in _candidates(sketches):
        first_grams, second_grams = _ngrams(unique[one]), _ngrams(unique[other])
        found = len(first_grams & second_grams) / len(first_grams | second_grams)
        if found >= similarity:
            pairs.append((min(rows[one], rows[other]), max(rows[one], rows[other]), found))
    return sorted(pairs)


def _ngrams(text: str) -> set[str]:
    text = f" {text} "
    return {text[start : start + _NGRAM] for start in range(max(1, len(text) - _NGRAM + 1))}


def _candidates(sketches: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of texts whose sketches [N, P] agree in a whole band."""
    found: set[tuple[int, int]] = set()
    for start in range(0, sketches.shape[1] - _BAND + 1, _BAND):
        band = np.ascontiguousarray(sketches[:, start : start + _BAND])
        keys = band.view(np.dtype((np.void, band.dtype.itemsize * _BAND))).ravel()
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
        for members in _runs(order, same):
            found.update(combinations(members, 2) if len(members) <= _CROWD else ((members[0], m) for m in members[1:]))
    return found


def _runs(order: np.ndarray, same: np.ndarray) -> Iterator[list[int]]:
    """Stretches of ``order`` whose neighbours, at the positions ``same``, have equal keys."""
    for stretch in np.split(same, np.flatnonzero(np.diff(same) > 1) + 1):
        if len(stretch):
            yield sorted(order[stretch[0] : stretch[-1] + 2].tolist())


def clusters(num_rows: int, links: Iterable[tuple[int, int]]) -> np.ndarray:
    """[N] int, the same number for rows that are linked, directly or over others."""
    ends = np.asarray(list(links), dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(num_rows, num_rows))
    return connected_components(graph, directed=False)[1]
