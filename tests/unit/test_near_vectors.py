"""Texts that are near by vectors: all pairs are found, the nearest kept, and what words tell already is left out."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lit_humor.auditing import near_vectors
from lit_humor.auditing.near_vectors import nearest_pairs, vector_findings
from lit_humor.auditing.rows import Finding, Rows, join_splits
from lit_humor.data.dividing.similarity import near_pairs
from tests.unit.building import make_examples

SIZE = 60


def _vectors(size: int = SIZE, dimensions: int = 6, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(size, dimensions))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def _one_by_one(
    vectors: np.ndarray, splits: np.ndarray, groups: np.ndarray, known: set[tuple[int, int]], similarity: float
) -> dict[bool, list[tuple[int, int]]]:
    """All near pairs, nearest first, by the definition."""
    found: dict[bool, list[tuple[float, int, int]]] = {True: [], False: []}
    for one in range(len(vectors)):
        for other in range(one + 1, len(vectors)):
            cosine = float(vectors[one].astype(np.float64) @ vectors[other].astype(np.float64))
            if cosine >= similarity and groups[one] != groups[other] and (one, other) not in known:
                found[bool(splits[one] != splits[other])].append((-cosine, one, other))
    return {across: [(one, other) for _, one, other in sorted(pairs)] for across, pairs in found.items()}


@pytest.mark.parametrize("cells", [1, 7 * SIZE, 2**22])
@pytest.mark.parametrize("most", [3, 1000])
def test_all_pairs_are_counted_and_the_nearest_are_kept(cells: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows are compared at a time."""
    monkeypatch.setattr(near_vectors, "_CELLS", cells)
    vectors, splits, groups = _vectors(), np.arange(SIZE) % 3, np.arange(SIZE) // 2
    without = _one_by_one(vectors, splits, groups, set(), 0.5)
    known = {pair for pairs in without.values() for pair in pairs[:2]}
    expected = _one_by_one(vectors, splits, groups, known, 0.5)
    assert min(map(len, expected.values())) > 20
    found = nearest_pairs(vectors, splits, groups, np.asarray(sorted(known)), 0.5, most)
    for across, pairs in expected.items():
        assert found[across].total == len(pairs)
        assert [tuple(pair) for pair in found[across].pairs.tolist()] == pairs[:most]
        cosines = [vectors[one] @ vectors[other] for one, other in pairs[:most]]
        assert found[across].cosines == pytest.approx(cosines, abs=1e-6)


def test_equal_cosines_stand_in_the_order_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_vectors, "_CELLS", 1)
    same = np.ones((5, 1), dtype=np.float32)
    found = nearest_pairs(same, np.zeros(5), np.arange(5), np.empty((0, 2), np.int64), 1.0, 4)
    assert (found[False].total, found[True].total) == (10, 0)
    assert found[False].pairs.tolist() == [[0, 1], [0, 2], [0, 3], [0, 4]]


TEXTS = [
    "My boss said I dress for the job I want. So I came as Batman.",
    "The meeting starts at nine in the large room.",
    "MY BOSS said I dress for the job I want - so I came as Batman!",  # equal to the first
    "The meeting starts at nine in the large rooms.",  # near in words to the second
    "At work they told me to wear what suits my dream position, hence the superhero suit.",
    "Nine o'clock, big hall: that is when we all come together.",
    "A goldfish has no opinion about bicycles.",
]
TURNS = [0.0, 1.5, 0.0, 1.5, 0.2, 1.6, 3.0]  # of the vector of each text, in radians


def _embed(texts: Sequence[str]) -> np.ndarray:
    turns = np.asarray([TURNS[TEXTS.index(text)] for text in texts])
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def _rows(groups: list[str] | None = None) -> Rows:
    whole = replace(make_examples(len(TEXTS)), texts=TEXTS, ids=[f"row {n}" for n in range(7)], groups=groups)
    return join_splits({"train": whole.take([0, 1, 2, 3, 5]), "test": whole.take([4, 6])})


def _found(rows: Rows) -> dict[str, Finding]:
    reported = near_pairs(rows.texts, 0.6)
    assert [(one, other) for one, other, _ in reported] == [(1, 3)]
    found = vector_findings(rows, rows.texts, reported, _embed, name="a model", similarity=0.9)
    assert all("the opinion of a model" in finding.title for finding in found)
    return {finding.kind.rpartition("_")[2]: finding for finding in found}


def test_a_paraphrase_is_found_and_no_pair_that_is_known() -> None:
    found = _found(_rows())
    across, within = found["across"], found["within"]
    assert [[row["id"] for row in case] for case in across.cases] == [["row 0", "row 4"]], "once, of two equal texts"
    assert [row["text"] for row in across.cases[0]] == [TEXTS[0], TEXTS[4]]
    assert [row["split"] for row in across.cases[0]] == ["train", "test"]
    assert across.cases[0][1]["cosine"] == pytest.approx(np.cos(0.2), abs=1e-3)
    assert [[row["id"] for row in case] for case in within.cases] == [["row 1", "row 5"], ["row 3", "row 5"]]
    assert (across.to_dict()["count"], within.to_dict()["count"]) == (1, 2)


def test_rows_of_one_group_are_said_to_belong_together() -> None:
    assert _found(_rows(["a", "b", "c", "d", "a", "e", "f"])).keys() == {"within"}


def test_what_is_not_kept_is_counted() -> None:
    finding = Finding("kind", "note", "title", "remedy", [[{}]], total=7)
    assert finding.to_dict()["count"] == 7
    assert "total" not in finding.to_dict()
    assert Finding("kind", "note", "title", "remedy", [[{}]]).to_dict()["count"] == 1
