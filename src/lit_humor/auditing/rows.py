"""The rows of all splits in one object, and the findings of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from lit_humor.data.examples import Examples, Place

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"
_NO_CLASSES = "any"


@dataclass(frozen=True)
class Rows:
    """The rows of all splits, concatenated. N rows.

    Attributes:
        ids: [N] ids.
        texts: [N] texts; a second text is appended to the first.
        labels: [N] int64.
        splits: [N] names of the splits.
        places: [N] files and line numbers.
        groups: [N] group names; None for rows without a group.
        class_names: Class names in class order; one, ``any``, where rows have no classes.
        slices: [N] values of each of ``language``, ``genre``, ``part`` that the data has; None where unknown.
    """

    ids: list[str]
    texts: list[str]
    labels: np.ndarray
    splits: list[str]
    places: list[Place]
    groups: list[str | None]
    class_names: tuple[str, ...]
    slices: Mapping[str, list[str | None]]

    def __len__(self) -> int:
        return len(self.texts)

    def describe(self, row: int) -> dict[str, Any]:
        """Return split, file, line, label and text of a row, for a report."""
        return {
            "split": self.splits[row],
            "file": self.places[row].file,
            "line": self.places[row].line,
            "label": self.class_names[self.labels[row]],
            "text": self.texts[row],
        }


def join_splits(splits: Mapping[str, Examples]) -> Rows:
    """Concatenate the splits of a data set."""
    return Rows(
        ids=[name for examples in splits.values() for name in examples.ids],
        texts=[text for examples in splits.values() for text in examples.whole_texts()],
        labels=np.concatenate([examples.labels for examples in splits.values()]),
        splits=[name for name, examples in splits.items() for _ in examples.places],
        places=[place for examples in splits.values() for place in examples.places],
        groups=[group for examples in splits.values() for group in _column_or_nones(examples.groups, examples)],
        class_names=next(iter(splits.values())).class_names or (_NO_CLASSES,),
        slices={
            name: [
                value for examples in splits.values() for value in _column_or_nones(examples.slices.get(name), examples)
            ]
            for name in dict.fromkeys(name for examples in splits.values() for name in examples.slices)
        },
    )


def _column_or_nones(column: Sequence[str | None] | None, examples: Examples) -> Sequence[str | None]:
    return [None] * len(examples) if column is None else column


@dataclass(frozen=True)
class Finding:
    """Something a person should know about the data.

    Attributes:
        kind: Short name, e.g. ``near_duplicates_across``.
        level: ``error``: results are wrong; ``warning``: they may be wrong; ``note``: good to know.
        title: One sentence, without the count.
        remedy: What to do.
        cases: One list per case, with the rows that belong together; a row has split, file, line, label, text and
            values that depend on the kind.
        total: Number of all cases, where ``cases`` has only the first; None: it has all.
    """

    kind: str
    level: Literal["error", "warning", "note"]
    title: str
    remedy: str
    cases: list[list[dict[str, Any]]] = field(default_factory=list)
    total: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values, with the number of cases as ``count``."""
        values = asdict(self)
        total = values.pop("total")
        return {"count": len(self.cases) if total is None else total, **values}
