"""What is said of labels and tests that may not be what was meant: thresholds, positions, splits without a class."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.dividing.fitness import check_positions, notes_on_labels, notes_on_test
from lit_humor.data.dividing.splits import draw_missing
from lit_humor.data.examples import Examples
from lit_humor.data.sources.files import TextFiles
from tests.obeying import settings_in
from tests.unit.building import make_datamodule
from tests.unit.test_splits import distinct_texts, labelled


def _read(folder: Path, labels: Sequence[object], **settings: Any) -> Examples:
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(distinct_texts(len(labels)), labels, strict=True)])
    return TextFiles(train_path=str(path), **settings).load()["train"]


RATINGS = [0.5, 1.0, 2.5, 3.0] * 10


@pytest.mark.parametrize("threshold", ["yes", math.nan, math.inf, -math.inf, True])
def test_a_threshold_that_is_no_number_is_refused(tmp_path: Path, threshold: object) -> None:
    with pytest.raises(UserError, match=r"^data.label_threshold: found .*, expected a finite number") as caught:
        _read(tmp_path, RATINGS, label_threshold=threshold)
    assert set(_read(tmp_path, RATINGS, **settings_in(caught.value)).labels) == {0, 1}


@pytest.mark.parametrize(
    ("threshold", "lacking"), [(1e5, "humor"), (3.5, "humor"), (0.5, "not humor"), (-1, "not humor")]
)
def test_a_threshold_beside_all_labels_is_named_with_their_range(
    tiny_model: str, tmp_path: Path, threshold: float, lacking: str
) -> None:
    train = _read(tmp_path, RATINGS, label_threshold=threshold)
    with pytest.raises(UserError, match=f"^data.label_threshold=.* no row of class '{lacking}'") as caught:
        make_datamodule(tiny_model, tmp_path, splits={"train": train}).check_fit_for_training()
    assert "from 0.5 to 3" in str(caught.value)
    assert notes_on_labels({"train": train}) == [f"Warning: {caught.value}".replace("among 32 of", "among 40 of")]
    obeyed = _read(tmp_path, RATINGS, **settings_in(caught.value))
    assert notes_on_labels({"train": obeyed}) == []


def test_a_threshold_within_the_labels_is_no_reason_for_a_class_that_a_split_lacks(tmp_path: Path) -> None:
    train = _read(tmp_path, RATINGS, label_threshold=3)
    assert notes_on_labels({"test": train.take([0, 1])}) == []


@pytest.mark.parametrize(
    ("labels", "names"),
    [([0, 1, 2], ["a", "b", "c"]), (["1", "0"], ["plain", "joke"]), ([0, 1, 2, 1], ["ironic", "sarcastic", "other"])],
)
def test_numbers_read_as_positions_of_classes_are_told(tmp_path: Path, labels: list, names: list[str]) -> None:
    examples = _read(tmp_path, labels, label_names=names)
    (note,) = notes_on_labels({"test": examples})
    assert all(f"{index} is '{name}'" in note for index, name in enumerate(names))
    assert str(tmp_path / "rows.csv") in note
    check_positions(examples)
    again = _read(tmp_path, labels, label_names=names, **settings_in(f"Fix: {note.partition('wrong, ')[2]}"))
    assert again.labels.tolist() == examples.labels.tolist()
    assert notes_on_labels({"test": again}) == [], "the setting says what they mean"


@pytest.mark.parametrize(
    ("labels", "settings"),
    [
        ([0, 1], {}),
        (["0", "1"], {"label_names": ["0", "1"]}),
        ([1, 2, 3], {"label_names": ["1", "2", "3"]}),
        (["joke", "plain"], {"label_names": ["plain", "joke"]}),
        ([0, 1], {"label_names": ["plain", "joke"], "label_aliases": ["0: plain", "1: joke"]}),
        ([0.5, 2.5], {"label_names": ["plain", "joke"], "label_threshold": 1}),
    ],
)
def test_labels_that_mean_one_thing_only_are_read_silently(tmp_path: Path, labels: list, settings: dict) -> None:
    examples = _read(tmp_path, labels, **settings)
    assert notes_on_labels({"test": examples}) == []
    check_positions(examples)


@pytest.mark.parametrize(
    ("labels", "names"), [([0, 1] * 3, ["a", "b", "c"]), ([1, 1], ["x", "y"]), ([2, 0], ["a", "b", "c"])]
)
def test_fewer_numbers_than_classes_of_a_model_are_refused(tmp_path: Path, labels: list, names: list[str]) -> None:
    examples = _read(tmp_path, labels, label_names=names)
    with pytest.raises(UserError, match="labels: found only ") as caught:
        check_positions(examples)
    again = _read(tmp_path, labels, label_names=names, **settings_in(caught.value))
    check_positions(again)
    assert again.labels.tolist() == examples.labels.tolist()


TWO = ["One text about a hen", "Quite another one: trains"]
WITHOUT_TEST: dict[str, tuple[Examples, dict[str, Any], str]] = {
    "two rows of a class": (
        labelled(distinct_texts(120), [1, 1] + [0] * 118),
        {},
        "data.test_fraction=0.1: found no row of class 'class 1' in the test split, expected 3 different texts of each "
        "class at least (train, val and test get one each), not 2 of 'class 1' (2 rows). Fix: add rows",
    ),
    "five rows of two texts": (
        labelled([*(TWO * 3)[:5], *distinct_texts(60)], [1] * 5 + [0] * 60),
        {"split_similarity": 0.6},
        "not 2 of 'class 1' (5 rows)",
    ),
    "two groups": (
        labelled(distinct_texts(60), [0, 1] * 30, groups=["a"] * 30 + ["b"] * 30),
        {"split_similarity": 0.6},
        "found no row to test on, expected 3 groups (data.group_column) of each class at least",
    ),
    "a share that rounds to no row": (
        labelled(distinct_texts(40), [0, 1] * 20),
        {"test_fraction": 0.01},
        "data.test_fraction=0.01: found no row to test on, expected rows of every class. Fix: set data.split_",
    ),
}


@pytest.mark.parametrize("case", WITHOUT_TEST)
def test_a_drawn_test_without_a_class_is_told(tiny_model: str, tmp_path: Path, case: str) -> None:
    train, settings, expected = WITHOUT_TEST[case]
    settings = (
        {"split_similarity": 0.6, "test_fraction": 0.1}
        | ({} if "rounds" not in case else {"split_similarity": None})
        | settings
    )
    data = make_datamodule(tiny_model, tmp_path, splits={"train": train}, **settings)
    (note,) = data.report()["notes"]
    assert expected in note
    others = {"data.test_fraction=0": {"test_fraction": 0.0}, "data.split_similarity=0.6": {"split_similarity": 0.6}}
    obeyed = [changed for typed, changed in others.items() if typed in note.partition("Fix: ")[2]]
    assert obeyed
    for changed in obeyed:
        again = make_datamodule(tiny_model, tmp_path, splits={"train": train}, **(settings | changed))
        assert again.report()["notes"] == []
    test = labelled(distinct_texts(8, seed=3), [0, 1] * 4)
    assert (
        make_datamodule(tiny_model, tmp_path, splits={"train": train, "test": test}, **settings).report()["notes"] == []
    )


def test_a_test_file_without_a_class_is_told(tiny_model: str, tmp_path: Path) -> None:
    splits = {"train": labelled(distinct_texts(40), [0, 1] * 20), "test": labelled(distinct_texts(5, seed=1), [0] * 5)}
    data = make_datamodule(tiny_model, tmp_path, splits=splits)
    (note,) = notes_on_test(data.load(), data.drawn, data.settings)
    assert note.startswith("Warning: data.test_path: found no row of class 'class 1' in the test split")


def test_splits_of_every_class_need_no_word(tiny_model: str, tmp_path: Path) -> None:
    train = labelled(distinct_texts(60), [0, 1] * 30)
    for settings in ({}, {"split_similarity": 0.6}, {"folds": 3}, {"test_fraction": 0.0}):
        data = make_datamodule(tiny_model, tmp_path, splits={"train": train}, **settings)
        drawn = draw_missing({"train": train}, data.settings)
        assert notes_on_test(data.load(), drawn, data.settings) == []
