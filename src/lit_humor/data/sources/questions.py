"""Questions about pictures, with answers, from the user's own files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.reading.columns import find_column, match_column, unless_null
from lit_humor.data.reading.tables import Table, read_file
from lit_humor.data.sources.pictures import PictureFiles

_STAGE, _TYPE = "stage", "question_type"  # of results by slice
_QUESTION, _INSTRUCTION = "question", "instruction"


@dataclass(kw_only=True)
class QuestionFiles(PictureFiles):
    """One file for each split, as in ``PictureFiles``: a picture, a question about it and the answer in each row.

    A file with the columns ``instruction`` and ``question`` has both in each row: what to do, and the question; an
    instruction that holds the question stands for both.

    Attributes:
        picture_column: Column of the path; None looks for ``image``, ``picture``, then ``image_filename``.
        text_column: Column of the question; None looks for ``question``, then ``instruction``.
        answer_column: Column of the answer.
        stage_column: Column of a number, higher for harder questions: a slice of results, and the difficulty of the
            row unless ``difficulty_column`` is set. None looks for ``stage``; a file may lack it.
        question_type_column: Column of a kind of question, a slice of results. None looks for ``question_type``; a
            file may lack it.
        size: As in ``PictureFiles``.
    """

    picture_names: ClassVar[tuple[str, ...]] = ("image", "picture", "image_filename")

    answer_column: str | None = "answer"
    stage_column: str | None = None
    question_type_column: str | None = None
    size: int | None = None

    def read_table(self, path: str) -> tuple[Examples, Table]:
        """Read a file, and return all of its columns, too; errors as in ``load``."""
        table, counts = read_file(path, self.quoting)
        for name, wanted in ((_STAGE, self.stage_column), (_TYPE, self.question_type_column)):
            if (column := _optional(table, wanted, name, f"data.{name}_column", path)) is not None:
                table[name] = _whole(table[column])
        return build_examples(table, self._named(table, path), path, counts), table

    def _named(self, table: Table, path: str) -> Self:
        """Return a copy with the names of the columns that this file has."""
        columns, names = self.of_table(table), (_QUESTION, _INSTRUCTION)
        columns.text_column = find_column(table, columns.text_column, names, "data.text_column", path)
        instruction = match_column(list(table), (_INSTRUCTION,))
        if columns.instruction_column is None and columns.text_column != instruction:
            columns.instruction_column = instruction
        if columns.difficulty_column is None and _STAGE in table:
            columns.difficulty_column = _STAGE
        return columns


def _optional(table: Table, wanted: str | None, name: str, key: str, path: str) -> str | None:
    """Return the wanted column, or that of the usual name if there is one."""
    wanted = unless_null(wanted, table)
    return match_column(list(table), (name,)) if wanted is None else find_column(table, wanted, (), key, path)


def _whole(values: Sequence[Any]) -> list[Any]:
    """Return numbers without a decimal point, where nothing is behind it."""
    return [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
