"""Numbers to predict: one column or several, and rows that have none."""

from pathlib import Path

import numpy as np
import pytest

from lit_humor.core.errors import UserError
from lit_humor.data.sources.files import TextFiles
from lit_humor.data.targets import notes_on_targets

ROWS = "text,rating,offense\na joke,2.5,0\nnot rated,,1\nanother,1,1\n"


def _load(tmp_path: Path, content: str = ROWS, **settings: object) -> object:
    (tmp_path / "in.csv").write_text(content)
    return TextFiles(train_path=str(tmp_path / "in.csv"), **settings).load()["train"]  # type: ignore[arg-type]


def test_a_row_without_a_number_is_refused_and_the_remedy_leaves_it_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"line 3, column 'rating': found nothing.*missing_targets=leave_out"):
        _load(tmp_path, target_column="rating")
    examples = _load(tmp_path, target_column="rating", missing_targets="leave_out")
    assert examples.texts == ["a joke", "another"]
    assert examples.targets.tolist() == [2.5, 1.0]
    assert [place.line for place in examples.places] == [2, 4]
    assert notes_on_targets({"train": examples}) == ["train: 1 rows without a number to predict were left out"]


def test_a_word_in_place_of_a_number_is_refused_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"found 'many', expected a number"):
        _load(tmp_path, ROWS.replace("2.5", "many"), target_column="rating", missing_targets="leave_out")


def test_several_columns_are_several_numbers_a_row(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column 'rating': found nothing"):  # half of a row is a fault
        _load(tmp_path, target_columns=["offense", "rating"], missing_targets="leave_out")
    examples = _load(tmp_path, ROWS.replace("rated,,1", "rated,,"), target_columns=["offense", "rating"],
                     missing_targets="leave_out")  # fmt: skip
    np.testing.assert_array_equal(examples.targets, [[0, 2.5], [1, 1]])
    assert examples.answer_names == ("offense", "rating")
    assert examples.take([1]).targets.tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"target_column": "rating", "target_columns": ["offense"]}, "leave data.target_column out"),
        ({"target_column": "rating", "missing_targets": "drop"}, "set data.missing_targets=leave_out"),
        ({"target_columns": ["offence"]}, "offense"),
    ],
)
def test_mistakes(tmp_path: Path, settings: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        _load(tmp_path, **settings)


def test_a_column_without_any_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no number in column 'rating'"):
        _load(tmp_path, "text,rating\na,\nb,\n", target_column="rating", missing_targets="leave_out")
