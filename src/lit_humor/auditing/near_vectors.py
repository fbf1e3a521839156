"""Finds texts that lie near each other by the vectors of a model, and not in words.

Legend: N different texts, D size of a vector, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lit_humor.auditing.rows import NOTE, WARNING, Finding, Rows
from lit_humor.data.dividing.similarity import normalise

MOST = 1000  # pairs that are kept of each kind
_CELLS = 2**22  # cosines at a time: 16 MiB, and some 220 MiB for the pairs if every pair is near


class NearPairs(NamedTuple):
    """The nearest pairs, nearest first.

    Attributes:
        pairs: [P, 2] int64, positions of two texts, the first one before the second.
        cosines: [P] float32.
        total: Number of all pairs, of which P were kept.
    """

    pairs: np.ndarray
    cosines: np.ndarray
    total: int


def vector_findings(
    rows: Rows,
    texts: Sequence[str],
    reported: Sequence[tuple[int, int, float]],
    embed: Callable[[Sequence[str]], np.ndarray],
    *,
    name: str,
    similarity: float,
) -> list[Finding]:
    """Find pairs of texts that are near by their vectors, and neither equal, nor reported, nor of one group.

    Args:
        rows: All rows.
        texts: [N] their texts, repaired.
        reported: Rows and similarity of pairs that are near in words, from ``near_pairs``.
        embed: Function from texts to vectors of length 1.
        name: The model, for the titles.
        similarity: Smallest cosine of two near texts.

    Returns:
        The findings that have cases; each has the ``MOST`` nearest pairs, and counts all.
    """
    first_rows = {text: row for row, text in reversed(list(enumerate(map(normalise, texts))))}
    chosen = np.sort(list(first_rows.values()))
    known = np.asarray([pair[:2] for pair in reported], dtype=np.int64).reshape(-1, 2)
    groups = [group if group is not None else f"\0{row}" for row, group in enumerate(rows.groups)]
    near = nearest_pairs(
        embed([texts[row] for row in chosen]),
        np.unique(rows.splits, return_inverse=True)[1][chosen],
        np.unique(groups, return_inverse=True)[1][chosen],
        np.searchsorted(chosen, known),
        similarity,
    )
    findings = []
    for across, where in ((True, "in two splits"), (False, "within a split")):
        cases = [
            [
                _described(rows, chosen[first]),
                _described(rows, chosen[second]) | {"cosine": round(min(1.0, float(cosine)), 3)},
            ]
            for (first, second), cosine in zip(near[across].pairs, near[across].cosines, strict=True)
        ]
        findings.append(
            Finding(
                f"near_vectors_{'across' if across else 'within'}",
                WARNING if across else NOTE,
                f"pairs {where} that are alike in the opinion of {name}, though not in words",
                "read the nearest, which come first: a model is often wrong about it",
                cases,
                total=near[across].total,
            )
        )
    return [finding for finding in findings if finding.cases]


def _described(rows: Rows, row: int) -> dict[str, object]:
    return rows.describe(row) | {"id": rows.ids[row]}


def nearest_pairs(
    vectors: np.ndarray, splits: np.ndarray, groups: np.ndarray, known: np.ndarray, similarity: float, most: int = MOST
) -> dict[bool, NearPairs]:
    """Find all pairs whose cosine is at least ``similarity``, and keep the nearest; exact.

    Cost: the product of each vector with those behind it, N^2 D operations (4.4 CPU seconds for 30,000 texts of 384 on
    an EPYC), in blocks of rows whose cosines take 16 MiB.

    Args:
        vectors: [N, D] float32 of length 1.
        splits: [N] numbers of the splits.
        groups: [N] numbers of the groups; pairs of one group are left out.
        known: [P, 2] positions of pairs to leave out, the smaller one first.
        similarity: Smallest cosine.
        most: Pairs that are kept of each kind.

    Returns:
        By whether the two texts are in two splits; equal cosines in the order of their positions.
    """
    size = len(vectors)
    left_out = known[:, 0] * size + known[:, 1]
    near = {across: NearPairs(np.empty((0, 2), np.int64), np.empty(0, np.float32), 0) for across in (True, False)}
    step = max(1, _CELLS // max(1, size))
    for start in range(0, size, step):
        cosines = vectors[start : start + step] @ vectors[start:].T
        row, column = np.nonzero(np.triu(cosines >= similarity, 1))
        pairs, values = np.stack([row, column], axis=1) + start, cosines[row, column]
        is_new = ~np.isin(pairs[:, 0] * size + pairs[:, 1], left_out) & (groups[pairs[:, 0]] != groups[pairs[:, 1]])
        is_across = splits[pairs[:, 0]] != splits[pairs[:, 1]]
        for across in near:
            wanted = is_new & (is_across == across)
            near[across] = _joined(near[across], pairs[wanted], values[wanted], most)
    return near


def _joined(near: NearPairs, pairs: np.ndarray, cosines: np.ndarray, most: int) -> NearPairs:
    """Add pairs, and keep the nearest."""
    total = near.total + len(pairs)
    if len(near.pairs) == most:  # later pairs of the same cosine would stand behind
        nearer = cosines > near.cosines[-1]
        pairs, cosines = pairs[nearer], cosines[nearer]
    pairs, cosines = np.concatenate([near.pairs, pairs]), np.concatenate([near.cosines, cosines])
    order = np.argsort(-cosines, kind="stable")[:most]
    return NearPairs(pairs[order], cosines[order], total)
