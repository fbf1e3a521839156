"""All rows of a data set side by side, and what an audit says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from lit_humor.data.examples import Examples, Place

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"


@dataclass(frozen=True)
class Rows:
    """The rows of all splits, end to end.

    Attributes:
        texts: [N] texts; a second text stands after the first.
        labels: [N] int64.
        splits: [N] name of the split.
        places: [N] file and line.
        groups: [N] group, None where the data has none.
        class_names: Class names in class order.
        slices: [N] values of ``language``, ``genre``, ``part``, each where the data has it; None where unknown.
    """

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
        """One row for a report."""
        return {
            "split": self.splits[row],
            "file": self.places[row].file,
            "line": self.places[row].line,
            "label": self.class_names[self.labels[row]],
            "text": self.texts[row],
        }


def join_splits(splits: Mapping[str, Examples]) -> Rows:
    """Put the splits of a data set end to end."""
    return Rows(
        texts=[text for examples in splits.values() for text in examples.whole_texts()],
        labels=np.concatenate([examples.labels for examples in splits.values()]),
        splits=[name for name, examples in splits.items() for _ in examples.places],
        places=[place for examples in splits.values() for place in examples.places],
        groups=[group for examples in splits.values() for group in _or_nones(examples.groups, examples)],
        class_names=next(iter(splits.values())).class_names,
        slices={
            name: [value for examples in splits.values() for value in _or_nones(examples.slices.get(name), examples)]
            for name in dict.fromkeys(name for examples in splits.values() for name in examples.slices)
        },
    )


def _or_nones(column: Sequence[str | None] | None, examples: Examples) -> Sequence[str | None]:
    return [None] * len(examples) if column is None else column


@dataclass(frozen=True)
class Finding:
    """Something a person should know about the data.

    Attributes:
        kind: Short name, e.g. ``near_duplicates_across``.
        level: ``error`` makes results wrong, ``warning`` may, ``note`` is good to know.
        title: One sentence, without the count.
        remedy: What to do.
        cases: Every case, each a list of rows that belong together; a row is split, file, line, label, text and
            whatever else tells.
    """

    kind: str
    level: Literal["error", "warning", "note"]
    title: str
    remedy: str
    cases: list[list[dict[str, Any]]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the count."""
        return {"count": len(self.cases), **asdict(self)}
