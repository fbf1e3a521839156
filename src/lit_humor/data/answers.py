"""Texts to write or to find: the answer of each row, and texts that are none. Legend: N rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from lit_humor.core.errors import UserError, shorten
from lit_humor.data.reading.checking import check_texts
from lit_humor.data.reading.columns import Columns, find_column

_OPTIONAL = ("negative_column", "instruction_column")  # which say more of an answer


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The answers of rows, in their order.

    Attributes:
        texts: [N] the answer of each row: a punch line, the passage that fits a query.
        negatives: [N] texts that are not the row's answer; an empty list where none is known.
        instructions: [N] what is to be done with the row's text; "" where nothing is said.
        passage_instructions: [N] the same for the answer and then for each negative; None: nothing is said of any.
        embeds: [N] bool, whether the row trains embedding; None: all do.
        writes: [N] bool, whether the row trains writing; None: all do.
    """

    texts: list[str]
    negatives: list[list[str]]
    instructions: list[str]
    passage_instructions: list[list[str]] | None = None
    embeds: np.ndarray | None = None
    writes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> Answers:
        """Return a copy of some rows, in the given order; a row may be taken several times."""
        numbers = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            texts=[self.texts[row] for row in numbers],
            negatives=[self.negatives[row] for row in numbers],
            instructions=[self.instructions[row] for row in numbers],
            passage_instructions=self.passage_instructions and [self.passage_instructions[row] for row in numbers],
            embeds=None if self.embeds is None else self.embeds[numbers],
            writes=None if self.writes is None else self.writes[numbers],
        )

    def update_digest(self, digest: _Digest) -> None:
        """Add all of it to a hash."""
        masks = [None if mask is None else mask.tolist() for mask in (self.embeds, self.writes)]
        more = [] if self.passage_instructions is None else [self.passage_instructions]
        digest.update(json.dumps([self.texts, self.negatives, self.instructions, *masks, *more]).encode())


def read_answers(
    table: Mapping[str, Sequence[Any]], columns: Columns, places: Sequence[object], origin: str
) -> tuple[Answers | None, dict[int, UserError]]:
    """Read ``data.answer_column``, ``data.negative_column`` and ``data.instruction_column``.

    Args:
        table: As returned by ``read_table``.
        columns: Which column is which.
        places: [N] places of the rows, for messages.
        origin: File or data set, for messages.

    Returns:
        The answers, None where no column of them is named; and the errors by row.

    Raises:
        UserError: There is no such column, or one of the other two is named without that of answers.
    """
    if columns.answer_column is None:
        _refuse_without_answers(columns)
        return None, {}
    answer, negative, instruction = (
        None if (wanted := getattr(columns, key)) is None else find_column(table, wanted, (), f"data.{key}", origin)
        for key in ("answer_column", *_OPTIONAL)
    )
    assert answer is not None
    count = len(places)
    problems: dict[int, UserError] = {}
    instructions, negatives = [""] * count, [list[str]() for _ in range(count)]
    if instruction is not None:
        instructions = [_without_blanks(value) for value in table[instruction]]
        problems |= check_texts(instructions, places, instruction, blank_is_fine=True)
    if negative is not None:
        for row, value in enumerate(table[negative]):
            negatives[row], problem = _read_negatives(value, places[row], negative)
            problems |= {row: problem} if problem else {}
    texts = list(table[answer])
    problems |= check_texts(texts, places, answer)
    return Answers(texts=texts, negatives=negatives, instructions=instructions), problems


def _without_blanks(value: Any) -> Any:
    """An empty text in the place of nothing and of a blank text."""
    return "" if value is None or (isinstance(value, str) and not value.strip()) else value


def _refuse_without_answers(columns: Columns) -> None:
    named = next((key for key in _OPTIONAL if getattr(columns, key) is not None), None)
    if named is not None:
        fix = f"set data.answer_column=<column of answers>, or leave data.{named} out"
        raise UserError(f"data.{named}", found="no data.answer_column", expected="both, or none", fix=fix)


def _read_negatives(value: Any, place: object, column: str) -> tuple[list[str], UserError | None]:
    """Return the texts of a cell, and what is wrong with it; a list may be written as JSON, as audit.py does in CSV."""
    values = _from_json(value) if isinstance(value, str) else value
    if values is None:
        return [], None
    if not isinstance(values, list):
        fix = 'write it as a text, in quotes, or as a list of texts: ["...", "..."]'
        where, expected = f"{place}, column '{column}'", "a text, a list of texts, or nothing"
        return [], UserError(where, found=shorten(value), expected=expected, fix=fix)
    return values, next(iter(check_texts(values, [place] * len(values), column).values()), None)


def _from_json(text: str) -> list[Any]:
    """The texts of a cell that is one text, a list of texts as JSON, or blank."""
    if text.lstrip().startswith('["'):
        try:
            found = json.loads(text)
        except ValueError:
            return [text]
        return found if isinstance(found, list) else [text]
    return [text] if text.strip() else []
