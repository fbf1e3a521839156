"""Checked, labelled texts of one split: what every data source returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from lit_humor.core.batch import SLICE_COLUMNS
from lit_humor.core.errors import UserError
from lit_humor.data.answers import Answers, read_answers
from lit_humor.data.pictures.store import Pictures
from lit_humor.data.reading.checking import check_texts
from lit_humor.data.reading.columns import LABEL_COLUMNS, TEXT_COLUMNS, Columns, find_column, match_column
from lit_humor.data.reading.counts import FileCounts
from lit_humor.data.reading.labels import (
    DEFAULT_CLASS_NAMES,
    LabelRules,
    Threshold,
    UnknownLabelError,
    are_positions,
    encode_labels,
    read_threshold,
)
from lit_humor.data.reading.places import name_place
from lit_humor.data.reading.tables import FILE, LINE, Table
from lit_humor.data.targets import has_targets, read_targets, to_numbers, to_weights


class Place(NamedTuple):
    """Position of a row: file (or data set) and line (or row number), from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, {name_place(self.line)}"


class Failure(NamedTuple):
    """A row that is to be scored and cannot be: its id, its place, and what is wrong with it."""

    id: str
    place: str
    found: str


@dataclass
class Reading:
    """A table that was read under ``tolerant_reading``, with the rows that training cannot use.

    Attributes:
        table: All columns, with the values of the file.
        rejected: The error of each row that training cannot use, by its position in the table.
        origin: File or data set.
        text_columns: Columns of the text and of the second text, if any.
        label_column: Column of the label.
    """

    table: Table
    rejected: dict[int, UserError]
    origin: str
    text_columns: tuple[str, ...] = ()
    label_column: str = ""

    @property
    def read_columns(self) -> tuple[str, ...]:
        """Columns that training reads."""
        return (*self.text_columns, self.label_column)

    def kept(self) -> list[int]:
        """Positions in the table of the rows that became examples, in order."""
        return [row for row in range(len(self.table[LINE])) if row not in self.rejected]

    def rejected_places(self) -> list[tuple[Place, UserError]]:
        """The place of each rejected row, and its error."""
        places = _places(self.table, self.origin)
        return [(places[row], problem) for row, problem in self.rejected.items()]


_READINGS: ContextVar[dict[str, Reading] | None] = ContextVar("readings", default=None)


@contextmanager
def tolerant_reading() -> Iterator[dict[str, Reading]]:
    """Leave out rows with an unusable text or label instead of raising, in any source that is loaded in this context.

    Yields:
        The tables that were read, by origin; filled while sources load.
    """
    readings: dict[str, Reading] = {}
    token = _READINGS.set(readings)
    try:
        yield readings
    finally:
        _READINGS.reset(token)


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Texts with labels, in the order of their file.

    Attributes:
        ids: One id a row; the row's place in its file where the data has no ``id`` column.
        texts: [N] non-blank texts.
        text_pairs: [N] second texts, or None where the data has none.
        labels: [N] int64, index into ``class_names``; zeros where rows have no classes.
        class_names: Class names in class order; none where rows have no classes.
        slices: Values of ``language``, ``genre``, ``part`` where the data has such a column; None where unknown.
        groups: Group of each row, or None.
        difficulty: [N] float64, or None.
        weights: [N] float64 above 0, how much each row counts in training, or None.
        targets: [N] float64 numbers to predict, [N, K] where there are several a row, or None.
        target_names: [K] names of several numbers a row; else empty.
        num_without_target: Rows of the file that were left out, as they have no number to predict.
        origin: File or data set, for messages.
        places: File and line of each row.
        file: What was counted in the file that the rows are from, or None.
        are_positions: Whether the labels are numbers that were read as positions of named classes.
        threshold: The threshold that divides labels that are numbers, or None.
        answers: The texts to write or to find, or None.
        pictures: The picture of each row, or None.
        failures: Rows of the file that are not among these, as their pictures cannot be read.
    """

    ids: list[str]
    texts: list[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    origin: str
    places: list[Place]
    text_pairs: list[str] | None = None
    slices: Mapping[str, list[str | None]] = field(default_factory=dict)
    groups: list[str] | None = None
    difficulty: np.ndarray | None = None
    weights: np.ndarray | None = None
    targets: np.ndarray | None = None
    target_names: tuple[str, ...] = ()
    num_without_target: int = 0
    file: FileCounts | None = None
    are_positions: bool = False
    threshold: Threshold | None = None
    answers: Answers | None = None
    pictures: Pictures | None = None
    failures: tuple[Failure, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def unlabelled(cls, texts: Sequence[str], text_pairs: Sequence[str] | None = None) -> Examples:
        """Texts that are to be scored; they were checked where they came from."""
        count = len(texts)
        return cls(
            ids=[str(row) for row in range(count)],
            texts=list(texts),
            text_pairs=None if text_pairs is None else list(text_pairs),
            labels=np.zeros(count, dtype=np.int64),
            class_names=(),
            origin="texts to score",
            places=[],
        )

    @property
    def answer_names(self) -> tuple[str, ...]:
        """What a model gives a number for: the classes, or several targets; empty for one target."""
        return self.class_names or self.target_names

    @property
    def num_strata(self) -> int:
        """Number of strata for drawing splits: the number of classes, or 1 if there are none."""
        return max(len(self.class_names), 1)

    def whole_texts(self) -> list[str]:
        """Return [N] texts, each followed by its second text if it has one."""
        if self.text_pairs is None:
            return self.texts
        return [f"{text} {pair}".strip() for text, pair in zip(self.texts, self.text_pairs, strict=True)]

    def take(self, rows: Sequence[int] | np.ndarray) -> Examples:
        """Return a copy of some rows, in the given order."""

        def pick(column: list) -> list:
            return [column[row] for row in rows]

        return replace(
            self,
            ids=pick(self.ids),
            texts=pick(self.texts),
            labels=self.labels[np.asarray(rows, dtype=np.int64)],
            places=pick(self.places),
            text_pairs=None if self.text_pairs is None else pick(self.text_pairs),
            slices={name: pick(values) for name, values in self.slices.items()},
            groups=None if self.groups is None else pick(self.groups),
            difficulty=None if self.difficulty is None else self.difficulty[np.asarray(rows, dtype=np.int64)],
            weights=None if self.weights is None else self.weights[np.asarray(rows, dtype=np.int64)],
            targets=None if self.targets is None else self.targets[np.asarray(rows, dtype=np.int64)],
            answers=None if self.answers is None else self.answers.take(rows),
            pictures=None if self.pictures is None else self.pictures.take(rows),
        )


def build_examples(table: Table, columns: Columns, origin: str, file: FileCounts | None = None) -> Examples:
    """Check a table and make examples of it.

    Args:
        table: As returned by ``read_table``.
        columns: Which column is which.
        origin: File or data set, for messages.
        file: What was counted in the file, if it is one.

    Raises:
        UserError: A column is missing, or a row has an empty text, no text, or an unknown label. Names the row; an
            unknown label comes first, since one setting may correct many of them.
    """
    columns = columns.of_table(table)
    text = find_column(table, columns.text_column, TEXT_COLUMNS, "data.text_column", origin)
    pair, group, difficulty, weight = (
        None if (wanted := getattr(columns, key)) is None else find_column(table, wanted, (), f"data.{key}", origin)
        for key in ("text_pair_column", "group_column", "difficulty_column", "weight_column")
    )
    places = _places(table, origin)
    label, predicted, problems, missing = _to_predict(table, columns, places, origin)
    answers, wrong = read_answers(table, columns, places, origin)
    problems |= wrong
    pairs = None if pair is None else ["" if value is None else value for value in table[pair]]
    if pair is not None and pairs is not None:
        problems |= check_texts(pairs, places, pair, blank_is_fine=True)
    problems |= check_texts(table[text], places, text)
    numbers, weights = None, None
    if difficulty is not None:
        numbers, not_numbers = to_numbers(table[difficulty], places, difficulty)
        problems |= not_numbers
    if weight is not None:
        weights, not_weights = to_weights(table[weight], places, weight)
        problems |= not_weights
    readings = _READINGS.get()
    if problems and (readings is None or len(problems) == len(places)):
        raise problems[min(problems, key=lambda row: (not isinstance(problems[row], UnknownLabelError), row))]
    if readings is not None:
        problems = missing | problems
        text_columns = (text,) if pair is None else (text, pair)
        readings[origin] = Reading(table, dict(sorted(problems.items())), origin, text_columns, label)
    names = [name for name in table if name not in (LINE, FILE)]
    slices = {name: column for name in SLICE_COLUMNS if (column := match_column(names, (name,))) is not None}
    examples = Examples(
        ids=[str(value) for value in table["id"]] if "id" in table else [str(place.line) for place in places],
        texts=table[text],
        **predicted,
        answers=answers,
        origin=origin,
        places=places,
        text_pairs=pairs,
        slices={name: [_known(value) for value in table[column]] for name, column in slices.items()},
        # A row without a group is a group of its own.
        groups=None if group is None else [_known(v) or str(p) for v, p in zip(table[group], places, strict=True)],
        difficulty=numbers,
        weights=weights,
        file=file,
    )
    left_out = problems if readings is not None else missing
    return examples.take([row for row in range(len(places)) if row not in left_out]) if left_out else examples


def _to_predict(
    table: Table, columns: Columns, places: Sequence[Place], origin: str
) -> tuple[str, dict[str, Any], dict[int, UserError], dict[int, UserError]]:
    """Return the column to predict, the arguments of ``Examples`` it gives, errors by row, and rows to leave out."""
    if has_targets(columns):
        targets = read_targets(table, columns, places, origin)
        parts = {"labels": np.zeros(len(places), np.int64), "class_names": (), "targets": targets.values}
        parts |= {"target_names": targets.columns if targets.values.ndim > 1 else ()}
        parts |= {"num_without_target": len(targets.missing)}
        return targets.columns[0], parts, targets.problems, targets.missing
    if columns.answer_column is not None and columns.label_column is None:
        return columns.answer_column, {"labels": np.zeros(len(places), np.int64), "class_names": ()}, {}, {}
    label = find_column(table, columns.label_column, LABEL_COLUMNS, "data.label_column", origin)
    rules = LabelRules(columns.label_names, columns.label_aliases, columns.label_threshold)
    threshold, positions = read_threshold(table[label], rules), are_positions(table[label], rules)
    labels, unknown = encode_labels(table[label], rules, places, label)
    names = tuple(map(str, columns.label_names or DEFAULT_CLASS_NAMES))
    classes = {"labels": labels, "class_names": names, "threshold": threshold, "are_positions": positions}
    return label, classes, unknown, {}


def _places(table: Table, origin: str) -> list[Place]:
    return [Place(*place) for place in zip(table.get(FILE, [origin] * len(table[LINE])), table[LINE], strict=True)]


def _known(value: Any) -> str | None:
    return None if value in (None, "") else str(value)
