"""Questions about drawn pictures: who is there, where that is, and whether a caption is funny there, and why.

Drawn data measures the machinery, not humor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lit_humor.core.batch import SPLITS
from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.pictures.store import Pictures
from lit_humor.data.reading.columns import Columns
from lit_humor.data.reading.tables import LINE, Table
from lit_humor.data.sources.cartoons import NOTE, Cartoons, Row, a, in_place

_COLUMNS = Columns(text_column="text", answer_column="answer", difficulty_column="stage", group_column="group")
_WHO = ("Who is in this picture?", "Which figure does the picture show?")
_WHERE = ("Where is this?", "Which place does the picture show?")
_FUNNY = ('Is the caption "{}" funny here, and why?', 'The caption says: "{}" Is that funny, and why?')


class Question(NamedTuple):
    """A question about a picture.

    Attributes:
        stage: 1, 2 or 3; a higher one is harder.
        question_type: ``who``, ``where`` or ``funny``.
        text: The question.
        answer: The answer.
    """

    stage: int
    question_type: str
    text: str
    answer: str


class CartoonQuestions:
    """Questions about the pictures of ``Cartoons``, three about each: 10,368, 2,592 and 2,592 rows.

    Stage 1 asks who is there, stage 2 where that is. Stage 3 asks whether a caption is funny under the picture, and
    why: neither the picture nor the caption alone tells. The stage is also the difficulty of a row. The questions
    about one picture are a group, and no picture is in two splits.

    Args:
        pictures_dir: As for ``Cartoons``, and so are ``size`` and ``seed``.
        size: Height and width of a picture in pixels.
        seed: Seed of the drawing and of which caption stands where.
        rows_per_split: Ask only about the pictures of the first so many rows of ``Cartoons``; None takes all.

    Raises:
        UserError: Pictures are too small, or too few.
    """

    def __init__(self, pictures_dir: str, size: int = 64, seed: int = 0, rows_per_split: int | None = None) -> None:
        self.cartoons = Cartoons(pictures_dir, size, seed, rows_per_split)

    def load(self) -> dict[str, Examples]:
        """Draw the pictures, or map those of an earlier run, and write questions and answers.

        Raises:
            MissingExtraError: Pillow is missing.
        """
        return {split: self._load(split) for split in SPLITS}

    def _load(self, split: str) -> Examples:
        rows, store = self.cartoons.draw(split)
        asked = [(number, one) for number, row in enumerate(rows) for one in questions_about(row, number)]
        table: Table = {
            "id": [f"{split}-{number + 1}-{one.question_type}" for number, one in asked],
            "group": [f"{split}-{number + 1}" for number, _ in asked],
            **{name: [getattr(one, name) for _, one in asked] for name in Question._fields},
            LINE: list(range(1, len(asked) + 1)),
        }
        examples = build_examples(table, _COLUMNS, f"data=cartoon_questions, {split}")
        pictures = Pictures(store, np.asarray([number for number, _ in asked]))
        return replace(examples, pictures=pictures, origin=f"{examples.origin}: {NOTE}")


def questions_about(row: Row, number: int) -> Iterator[Question]:
    """Yield the three questions about a picture; its number chooses their words."""
    who, where, funny = (words[number % len(words)] for words in (_WHO, _WHERE, _FUNNY))
    yield Question(1, "who", who, a(row.actor))
    yield Question(2, "where", where, in_place(row.place))
    verdict = "Yes" if row.is_funny else "No"
    answer = f"{verdict}, this is {in_place(row.place)}, {row.agreement}."
    yield Question(3, "funny", funny.format(row.caption), answer)
