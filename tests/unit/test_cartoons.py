"""Drawn pictures and their captions: balanced, apart, the same every time."""

import hashlib
import pickle
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.data.examples import Examples
from lit_humor.data.pictures import drawing
from lit_humor.data.pictures.drawing import Scene, draw
from lit_humor.data.pictures.places import PLACES
from lit_humor.data.pictures.shapes import ACTORS, PROPS
from lit_humor.data.pictures.store import PictureStore, in_memory
from lit_humor.data.report import count_rows
from lit_humor.data.sources import cartoons
from lit_humor.data.sources.cartoons import Cartoons, rows_of

SIZES = {"train": 3456, "val": 864, "test": 864}


def _hash(examples: Examples) -> str:
    assert examples.pictures is not None
    pictures = examples.pictures.of_rows(np.arange(len(examples)))
    return hashlib.sha256(pictures.tobytes() + repr((examples.texts, examples.labels.tolist())).encode()).hexdigest()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examples]:
    return Cartoons(str(tmp_path_factory.mktemp("pictures")), size=32, rows_per_split=48).load()


@pytest.mark.parametrize("split", SIZES)
@pytest.mark.parametrize("seed", [0, 5])
def test_neither_caption_nor_picture_alone_tells(split: str, seed: int) -> None:
    rows = rows_of(split, seed)
    assert len(rows) == SIZES[split]
    for alone in (lambda row: row.caption, lambda row: row[:3], lambda row: row.place, lambda row: row.spoken_of):
        funny = Counter(alone(row) for row in rows if row.is_funny)
        assert funny == Counter(alone(row) for row in rows if not row.is_funny)
    assert {len({row.caption for row in rows if row[:3] == triple}) for triple in {row[:3] for row in rows}} <= {3, 4}


@pytest.mark.parametrize("count", [48, 96])
def test_blocks_are_balanced_and_in_no_order(count: int) -> None:
    labels = [row.is_funny for row in rows_of("val", 0)[:count]]
    assert sum(labels) == count / 2
    assert 0.3 < np.mean([first == second for first, second in zip(labels[::2], labels[1::2], strict=True)]) < 0.7
    captions = {
        label: Counter(row.caption for row in rows_of("val", 0)[:count] if row.is_funny is label)
        for label in (True, False)
    }
    assert captions[True] == captions[False]


def test_both_together_tell() -> None:
    rows = [row for split in SIZES for row in rows_of(split, 0)]
    told = {(row.place, row.caption): set[bool]() for row in rows}
    for row in rows:
        told[row.place, row.caption].add(row.is_funny)
    assert {len(labels) for labels in told.values()} == {1}


def test_no_triple_is_in_two_splits() -> None:
    triples = {split: {row[:3] for row in rows_of(split, 0)} for split in SIZES}
    assert [len(found) for found in triples.values()] == [864, 216, 216]
    assert len(set().union(*triples.values())) == len(ACTORS) * len(PLACES) * len(PROPS)


def test_the_answer_says_what_is_there_and_whether_it_fits() -> None:
    row = cartoons.Row("cat", "sea", "umbrella", "desert", "Another quiet day in the desert.")
    assert row.answer == "This is a cat with an umbrella at sea, not in the desert."
    assert row._replace(spoken_of="sea").answer == "This is a cat with an umbrella at sea, as the caption says."


def test_two_draws_are_equal_and_another_seed_is_not(few: dict[str, Examples], tmp_path: Path) -> None:
    again = Cartoons(str(tmp_path), size=32, rows_per_split=48).load()
    assert {split: _hash(one) for split, one in few.items()} == {split: _hash(one) for split, one in again.items()}
    other = Cartoons(str(tmp_path), size=32, seed=1, rows_per_split=48).load()
    assert _hash(other["train"]) != _hash(few["train"])
    more = Cartoons(str(tmp_path), size=32, rows_per_split=96).load()["train"]
    assert _hash(more.take(range(48))) == _hash(few["train"]), "a picture does not depend on how many there are"


def test_pictures_are_drawn_once(few: dict[str, Examples], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: Any = few["val"].pictures
    folder = Path(pictures.store.values.filename).parent
    assert pictures.store.values.shape == (48, 32, 32, 3)
    assert pictures.store.values.dtype == np.uint8
    assert isinstance(pictures.store.values, np.memmap)
    assert few["val"].origin == "data=cartoons, val: drawn data measures the machinery, not humor"
    monkeypatch.setattr(drawing, "draw", lambda *_: pytest.fail("drawn again"))
    assert _hash(Cartoons(str(folder.parent), size=32, rows_per_split=48).load()["val"]) == _hash(few["val"])
    assert not list(folder.parent.glob(".writing-*"))


def test_what_is_not_finished_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "draw", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Cartoons(str(tmp_path), rows_per_split=48).load()
    assert not list(tmp_path.iterdir())


def test_rows_keep_their_pictures(few: dict[str, Examples]) -> None:
    pictures: Any = few["train"].pictures
    taken: Any = few["train"].take([5, 3]).pictures
    assert np.array_equal(taken.of_rows(np.array([1, 0])), pictures.of_rows(np.array([3, 5])))
    sent = pickle.dumps(taken)
    assert len(sent) < 1000, "as the name of its file"
    assert np.array_equal(pickle.loads(sent).of_rows(np.arange(2)), taken.of_rows(np.arange(2)))
    kept: PictureStore = pickle.loads(pickle.dumps(in_memory([pictures.of_rows(np.array([0]))[0]])))
    assert kept.keys[0] == pictures.keys[0]


def test_duplicates_have_the_same_picture(few: dict[str, Examples]) -> None:
    class Nothing:
        lengths, num_truncated = np.ones(1), 0

    counts = count_rows({"train": few["train"].take([0, 1, 0]), "val": few["val"]}, dict.fromkeys(few, Nothing()))  # type: ignore[arg-type]
    assert counts["splits"]["train"]["duplicates"] == 1
    assert counts["leaks"] == {"train/val": 0}, "the captions alone are in both"
    assert counts["label_conflicts"] == 0


@pytest.mark.parametrize("kind", ["actor", "place", "prop"])
def test_names_look_different(kind: str) -> None:
    """Of two scenes that differ in one name, drawn alike, a good part of the pixels differ."""
    names = {"actor": ACTORS, "place": PLACES, "prop": PROPS}[kind]
    scene = Scene("cat", "sea", "cake")
    drawn = [draw(scene._replace(**{kind: name}), 64, np.random.default_rng(3)).astype(np.int64) for name in names]
    for index, first in enumerate(drawn):
        for second in drawn[:index]:
            assert (np.abs(first - second).max(axis=2) > 24).mean() > 0.03


def test_wrong_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.size: found 8.*set data\.size=16"):
        Cartoons(str(tmp_path), size=8)
    with pytest.raises(UserError, match=r"^data\.rows_per_split: found 0"):
        Cartoons(str(tmp_path), rows_per_split=0)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("PIL", "lit_humor.data.pictures.drawing"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match="extra 'pictures'"):
        Cartoons(str(tmp_path), rows_per_split=48).load()
