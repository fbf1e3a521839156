"""Questions about pictures: about drawn ones, and from the user's files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from lit_humor.core.errors import UserError
from lit_humor.data.dividing.ordering import take_stage
from lit_humor.data.dividing.splits import draw_missing
from lit_humor.data.examples import Examples
from lit_humor.data.pictures import drawing
from lit_humor.data.pictures.store import Originals
from lit_humor.data.preparing.pictures import PicturePreparation
from lit_humor.data.settings import DataSettings
from lit_humor.data.sources.cartoon_questions import CartoonQuestions, questions_about
from lit_humor.data.sources.cartoons import Cartoons, Row, rows_of
from lit_humor.data.sources.questions import QuestionFiles
from lit_humor.models.pretrained import Pretrained

SIZES = {"train": 144, "val": 144, "test": 144}
ROW = Row("elephant", "sea", "umbrella", "desert", "Another quiet day in the desert.")
RED, BLUE = (255, 0, 0), (0, 0, 255)


def settings(folder: Path, **more: Any) -> DataSettings:
    named: dict[str, Any] = {"max_length": 16, "batch_size": 4, "eval_batch_size": 4, "num_workers": 0}
    named |= {"val_fraction": 0.3, "test_fraction": 0.3, "split_seed": 1, "cache_dir": str(folder)}
    named |= {"padding": "longest", "pad_to_multiple_of": 1, "length_grouped": True, "split_similarity": None}
    return DataSettings(**(named | more))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Examples]:
    return CartoonQuestions(str(tmp_path_factory.mktemp("pictures")), size=32, rows_per_split=48).load()


def test_three_questions_about_a_picture() -> None:
    asked = list(questions_about(ROW, 0))
    assert [(one.stage, one.question_type) for one in asked] == [(1, "who"), (2, "where"), (3, "funny")]
    assert [one.answer for one in asked] == ["an elephant", "at sea", "Yes, this is at sea, not in the desert."]
    assert ROW.caption in asked[2].text
    fits = list(questions_about(ROW._replace(spoken_of="sea"), 1))[2]
    assert fits.answer == "No, this is at sea, as the caption says."
    assert fits.text != asked[2].text


def test_rows_share_pictures(drawn: dict[str, Examples]) -> None:
    assert {split: len(one) for split, one in drawn.items()} == SIZES
    for split, examples in drawn.items():
        pictures: Any = examples.pictures
        assert pictures.rows.tolist() == [number for number in range(48) for _ in range(3)]
        assert examples.groups is not None
        assert len(set(examples.groups)) == len(set(zip(examples.groups, pictures.keys.tolist(), strict=True))) == 48
        assert examples.slices["stage"] == ["1", "2", "3"] * 48
        assert examples.slices["question_type"] == ["who", "where", "funny"] * 48
        assert examples.difficulty is not None
        assert examples.difficulty.tolist() == [1, 2, 3] * 48
        assert len(set(examples.ids)) == len(examples)
        assert examples.origin == f"data=cartoon_questions, {split}: drawn data measures the machinery, not humor"


def test_no_picture_is_in_two_splits(drawn: dict[str, Examples]) -> None:
    keys = [set(examples.pictures.keys.tolist()) for examples in drawn.values()]  # type: ignore[union-attr]
    assert sum(map(len, keys)) == len(set().union(*keys)) == 3 * 48


def test_pictures_are_those_of_cartoons(drawn: dict[str, Examples], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures: Any = drawn["val"].pictures
    folder = Path(pictures.store.values.filename).parents[1]
    monkeypatch.setattr(drawing, "draw", lambda *_: pytest.fail("drawn again"))
    cartoons: Any = Cartoons(str(folder), size=32, rows_per_split=48).load()["val"].pictures
    assert np.array_equal(cartoons.store.values, pictures.store.values)


def test_neither_caption_nor_picture_alone_tells_what_is_funny() -> None:
    """Of each question of stage 3, as of each place, half of the answers are yes, whatever the words are."""
    rows = rows_of("train", 0)
    asked = [(row.place, list(questions_about(row, number))[2]) for number, row in enumerate(rows)]
    for key in (lambda place, one: one.text.split('"')[1], lambda place, one: place):
        yes = Counter(key(place, one) for place, one in asked if one.answer.startswith("Yes"))
        assert yes == Counter(key(place, one) for place, one in asked if one.answer.startswith("No"))
    words = [one.answer.startswith("Yes") for _, one in asked[::2]]
    assert 0.45 < np.mean(words) < 0.55, "nor the words of the question"
    whole = {(place, one.text): one.answer for place, one in asked}
    assert all(whole[place, one.text] == one.answer for place, one in asked), "both together do"


def test_stages_of_questions(drawn: dict[str, Examples], tmp_path: Path) -> None:
    staged = take_stage(drawn, settings(tmp_path, difficulty="column", stages=3, stage=2, route=True))
    assert [set(examples.slices["question_type"]) for examples in staged.values()] == [{"where"}] * 3
    assert [len(examples) for examples in staged.values()] == [48] * 3


def save(path: Path, color: Any = RED, size: tuple[int, int] = (40, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        lines = [list(rows[0]), *(row.values() for row in rows)]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def source(path: Path, **named: Any) -> QuestionFiles:
    return QuestionFiles(pictures_dir=str(path.parent / "kept"), train_path=str(path), **named)


def rows(count: int = 2, **more: Any) -> list[dict[str, Any]]:
    row = {"image": "a.png", "question": "Who is it?", "answer": "a cat", "stage": 1, "question_type": "who"}
    return [row | more for _ in range(count)]


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_every_form_of_file(form: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", BLUE, (20, 30))
    write(tmp_path / f"rows.{form}", [*rows(), *rows(1, image="b.png", answer="no", stage=3)])
    examples = source(tmp_path / f"rows.{form}").load()["train"]
    assert examples.texts == ["Who is it?"] * 3
    assert examples.answers is not None
    assert examples.answers.texts == ["a cat", "a cat", "no"]
    assert examples.slices["stage"] == ["1", "1", "3"]
    assert examples.slices["question_type"] == ["who"] * 3
    assert examples.difficulty is not None
    assert examples.difficulty.tolist() == [1, 1, 3]
    pictures: Any = examples.pictures
    assert isinstance(pictures.store, Originals)
    assert pictures.rows.tolist() == [0, 0, 1]
    assert [pictures.store.picture(number).shape for number in (0, 1)] == [(20, 40, 3), (30, 20, 3)]
    assert tuple(pictures.store.picture(1)[0, 0]) == BLUE
    assert examples.groups is not None
    assert examples.groups[0] == examples.groups[1] != examples.groups[2]


def test_rows_in_the_form_of_instructions(tmp_path: Path) -> None:
    """Those of image_filename, instruction, question, answer, stage; and those without a question of their own."""
    save(tmp_path / "of" / "a.png")
    row = {"image_filename": "a.png", "instruction": "Answer in one word.", "question": "Who?", "answer": "cat"}
    write(tmp_path / "both.jsonl", [row | {"stage": stage} for stage in (1.0, 2.5)])
    both = source(tmp_path / "both.jsonl", picture_root=str(tmp_path / "of")).load()["train"]
    assert (both.texts, both.slices["stage"]) == (["Who?"] * 2, ["1", "2.5"])
    assert both.answers is not None
    assert both.answers.instructions == ["Answer in one word."] * 2
    del row["question"]
    write(tmp_path / "one.jsonl", [row] * 2)
    one = source(tmp_path / "one.jsonl", picture_root=str(tmp_path / "of")).load()["train"]
    assert one.texts == ["Answer in one word."] * 2
    assert one.answers is not None
    assert one.answers.instructions == [""] * 2
    assert one.difficulty is None
    assert "stage" not in one.slices


def test_columns_of_other_names(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    write(tmp_path / "rows.jsonl", [{"file": "a.png", "q": "Who?", "a": "cat", "level": 2, "kind": "who"}] * 2)
    named = {"picture_column": "file", "text_column": "q", "answer_column": "a", "stage_column": "level"}
    examples = source(tmp_path / "rows.jsonl", **named, question_type_column="kind").load()["train"]
    assert examples.slices == {"stage": ["2", "2"], "question_type": ["who", "who"]}
    assert examples.difficulty is not None
    assert examples.difficulty.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("wrong", "named", "told"),
    [
        ({"image": "b.png"}, {}, r"rows\.jsonl, line 3, column 'image': found.*b\.png.*no file"),
        ({"image": "../a.png"}, {}, r"line 3, column 'image': .*outside of"),
        ({"question": " "}, {}, r"line 3, column 'question': found an empty or blank text"),
        ({"answer": None}, {}, r"line 3, column 'answer': found an empty or blank text"),
        ({"stage": "late"}, {}, r"line 3, column 'stage': found.*late.*expected a number"),
        ({}, {"stage_column": "level"}, r"expected a column 'level' \(data\.stage_column\)"),
        ({}, {"question_type_column": "kind"}, r"expected a column 'kind' \(data\.question_type_column\)"),
        ({}, {"text_column": "caption"}, r"expected a column 'caption' \(data\.text_column\)"),
        ({}, {"picture_column": "file"}, r"expected a column 'file' \(data\.picture_column\)"),
        ({}, {"size": 4}, r"^data\.size: found 4"),
    ],
)
def test_what_is_wrong_names_its_row(wrong: dict[str, Any], named: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = tmp_path / "of"
    save(folder / "a.png")
    write(folder / "rows.jsonl", [*rows(), *rows(1, **wrong)])
    with pytest.raises(UserError, match=told):
        source(folder / "rows.jsonl", **named).load()


def test_a_broken_picture_is_told_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    write(tmp_path / "rows.jsonl", rows())
    pictures: Any = source(tmp_path / "rows.jsonl").load()["train"].pictures
    with pytest.raises(UserError, match=r"rows\.jsonl, line 1, column 'image': .*'a\.png', which cannot be read"):
        pictures.store.picture(0)


def test_rows_to_score_whose_pictures_fail_are_told(tmp_path: Path) -> None:
    """They are failures with their places: not among the rows, and not lost."""
    save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    asked = [*rows(1), *rows(1, image="b.png"), *rows(1, image="c.png", stage=3), *rows(1, stage=2)]
    write(tmp_path / "rows.jsonl", asked)
    named: dict[str, Any] = {"train_path": None, "test_path": str(tmp_path / "rows.jsonl")}
    with pytest.raises(UserError, match=r"line 3, column 'image'"):
        QuestionFiles(pictures_dir=str(tmp_path), **named).load()
    for size in (None, 16):
        scored = QuestionFiles(pictures_dir=str(tmp_path), **named, broken_pictures="report", size=size).load()["test"]
        assert (scored.ids, scored.slices["stage"]) == (["1", "4"], ["1", "2"])
        assert [(one.id, one.place.rpartition("/")[2]) for one in scored.failures] == [
            ("2", "rows.jsonl, line 2"),
            ("3", "rows.jsonl, line 3"),
        ]
        assert "cannot be read" in scored.failures[0].found
        assert "no file" in scored.failures[1].found
        assert len(scored) + len(scored.failures) == len(asked)
        assert scored.pictures is not None
        assert scored.pictures.rows.tolist() == [0, 0]
    with pytest.raises(UserError, match=r"^data\.broken_pictures: found report.*set data\.broken_pictures=error"):
        source(tmp_path / "rows.jsonl", broken_pictures="report").load()
    write(tmp_path / "rows.jsonl", rows(2, image="b.png"))
    with pytest.raises(UserError, match="cannot be read"):
        QuestionFiles(pictures_dir=str(tmp_path), **named, broken_pictures="report").load()


def test_questions_about_a_picture_stay_in_one_split(tmp_path: Path) -> None:
    """Not even those about a file that is there twice, under two names."""
    asked = []
    for number in range(12):
        for copy in "ab":
            save(tmp_path / f"{number}{copy}.png", (20 * number, 0, 0))
            asked += rows(2, image=f"{number}{copy}.png")
    write(tmp_path / "rows.jsonl", asked)
    splits = draw_missing(source(tmp_path / "rows.jsonl").load(), settings(tmp_path)).splits
    keys = [set(examples.pictures.keys.tolist()) for examples in splits.values()]  # type: ignore[union-attr]
    assert len(keys) == 3
    assert all(keys)
    assert sum(map(len, keys)) == len(set().union(*keys)) == 12


def test_a_model_of_pictures_of_one_size_asks_for_it(tiny_model: str, tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    write(tmp_path / "rows.jsonl", rows())
    preparation = PicturePreparation(Pretrained(tiny_model), settings(tmp_path))
    with pytest.raises(UserError, match=r"^data\.size: found null.*set data\.size=64"):
        preparation.prepare(source(tmp_path / "rows.jsonl").load()["train"], None)
    prepared = preparation.prepare(source(tmp_path / "rows.jsonl", size=16).load()["train"], None)
    assert prepared.collate(np.arange(2))["pictures"].shape == (2, 16, 16, 3)
