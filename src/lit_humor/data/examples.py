"""Labelled texts of one split, checked: what every source returns and everything after it can rely on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from lit_humor.core.errors import UserError, shorten
from lit_humor.data.labels import DEFAULT_CLASS_NAMES, encode_labels
from lit_humor.data.tables import LINE, Table

TEXT_COLUMNS = ("text", "transcript")
LABEL_COLUMNS = ("is_humor", "label")
SLICE_COLUMNS = ("language", "genre", "part")


@dataclass(kw_only=True)
class Columns:
    """Which columns of a table mean what; a source that lets its user choose is one of these.

    Attributes:
        text_column: Column of the text; None looks for ``text``, then ``transcript``.
        label_column: Column of the label; None looks for ``is_humor``, then ``label``.
        text_pair_column: Column of a second text (a context); the model reads both as a pair.
        group_column: Rows with the same value here stay in one split.
        label_names: Class names in class order, the humorous one last; None takes 0/1 and its spellings.
    """

    text_column: str | None = None
    label_column: str | None = None
    text_pair_column: str | None = None
    group_column: str | None = None
    label_names: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Texts with labels, in the order of their file.

    Attributes:
        ids: One id a row; the row's place in its file where the data has no ``id`` column.
        texts: [N] non-blank texts.
        text_pairs: [N] second texts, or None where the data has none.
        labels: [N] int64, index into ``class_names``.
        class_names: Class names in class order.
        slices: Values of ``language``, ``genre``, ``part`` where the data has such a column; None where unknown.
        groups: Group of each row, or None.
        origin: File or data set, for messages.
    """

    ids: list[str]
    texts: list[str]
    labels: np.ndarray
    class_names: tuple[str, ...]
    origin: str
    text_pairs: list[str] | None = None
    slices: Mapping[str, list[str | None]] = field(default_factory=dict)
    groups: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int] | np.ndarray) -> Examples:
        """Copy some rows, in the given order."""

        def pick(column: list) -> list:
            return [column[row] for row in rows]

        return Examples(
            ids=pick(self.ids),
            texts=pick(self.texts),
            labels=self.labels[np.asarray(rows, dtype=np.int64)],
            class_names=self.class_names,
            origin=self.origin,
            text_pairs=None if self.text_pairs is None else pick(self.text_pairs),
            slices={name: pick(values) for name, values in self.slices.items()},
            groups=None if self.groups is None else pick(self.groups),
        )


def build_examples(table: Table, columns: Columns, origin: str) -> Examples:
    """Check a table and name its parts.

    Args:
        table: As returned by ``read_table``.
        columns: Which column is which.
        origin: File or data set, for messages.

    Raises:
        UserError: A column is missing, or a row has an empty, blank or non-text text or a bad label; names
            the row.
    """
    text = _find(table, columns.text_column, TEXT_COLUMNS, "data.text_column", origin)
    label = _find(table, columns.label_column, LABEL_COLUMNS, "data.label_column", origin)
    lines = table[LINE]
    places = [f"{origin}, line {line}" for line in lines]
    pairs = None
    if columns.text_pair_column is not None:
        name = _find(table, columns.text_pair_column, (), "data.text_pair_column", origin)
        pairs = _check_texts(["" if v is None else v for v in table[name]], places, name, blank_is_fine=True)
    groups = None
    if columns.group_column is not None:
        name = _find(table, columns.group_column, (), "data.group_column", origin)
        # A row without a group is a group of its own.
        values = table[name]
        groups = [str(v) if v not in (None, "") else place for v, place in zip(values, places, strict=True)]
    return Examples(
        ids=[str(v) for v in table["id"]] if "id" in table else [str(n) for n in lines],
        texts=_check_texts(table[text], places, text),
        labels=encode_labels(table[label], columns.label_names, places, label),
        class_names=tuple(columns.label_names or DEFAULT_CLASS_NAMES),
        origin=origin,
        text_pairs=pairs,
        slices={
            name: [str(v) if v not in (None, "") else None for v in table[name]]
            for name in SLICE_COLUMNS
            if name in table
        },
        groups=groups,
    )


def _find(table: Table, wanted: str | None, candidates: Sequence[str], key: str, origin: str) -> str:
    names = [name for name in table if name != LINE]
    for name in (wanted,) if wanted is not None else candidates:
        if name in names:
            return name
    raise UserError(
        origin,
        found=f"columns {names}",
        expected=f"a column '{wanted}' ({key})" if wanted else f"a column {' or '.join(candidates)}",
        fix=f"set {key}=<one of the columns>",
    )


def _check_texts(values: list, places: Sequence[str], column: str, blank_is_fine: bool = False) -> list[str]:
    for value, place in zip(values, places, strict=True):
        if not isinstance(value, str) or not (value.strip() or blank_is_fine):
            raise UserError(
                f"{place}, column '{column}'",
                found="an empty or blank text" if value in (None, "") or isinstance(value, str) else shorten(value),
                expected="a text",
                fix="fill in the text or delete the row",
            )
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise UserError(
                f"{place}, column '{column}'",
                found=f"half of a surrogate pair in {shorten(value)}",
                expected="text that UTF-8 can write",
                fix="correct the character or delete the row",
            )
    return values
