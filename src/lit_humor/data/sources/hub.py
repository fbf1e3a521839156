"""Texts from a data set of the Hugging Face hub, or from a local folder in its format."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import MissingExtraError, UserError, shorten
from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.reading.columns import LABEL_COLUMNS, Columns
from lit_humor.data.reading.places import RowNumber
from lit_humor.data.reading.tables import LINE, Table

AUTO = "auto"
_USUAL = {TRAIN: ("train",), VAL: ("validation", "val", "valid", "dev"), TEST: ("test",)}


@dataclass(kw_only=True)
class HubDataset(Columns):
    """Any data set of the hub, by name; the columns as in ``Columns``.

    Code of a data set is never run.

    Attributes:
        name: ``owner/name`` on the hub, or a local folder with data files or one written by ``save_to_disk``.
        subset: Configuration of the data set, if it has several.
        revision: Branch, tag or commit; None takes the newest.
        splits: Which split of the data set serves as train, val and test, e.g. ``{train: train, val: dev}``; ``auto``
            takes a split with a usual name if there is one, None takes none.
        label_names: None takes those of the data set, if it has any.
    """

    val_key: ClassVar[str] = "data.splits.val"  # key of the validation data, for messages
    test_key: ClassVar[str] = "data.splits.test"
    name: str
    subset: str | None = None
    revision: str | None = None
    splits: dict[str, str | None] = field(default_factory=lambda: {TRAIN: TRAIN, VAL: AUTO, TEST: AUTO})

    def load(self) -> dict[str, Examples]:
        """Fetch the splits, or take them from the cache, and check them.

        Raises:
            MissingExtraError: The ``hub`` extra is not installed.
            UserError: The data set cannot be reached, or lacks a split or column.
        """
        available = self._fetch()
        chosen = _choose(self.splits, available)
        missing = sorted(set(chosen.values()) - set(available))
        if missing:
            raise UserError(
                "data.splits",
                found=f"split '{missing[0]}'",
                expected=f"some of {sorted(available)}, the splits of {self.name}",
                fix=f"set data.splits.{next(ours for ours in chosen if chosen[ours] == missing[0])}=<one of these>",
            )
        examples = {
            ours: build_examples(
                _with_lines(available[theirs]), self._columns(available[theirs]), f"{self.name}/{theirs}"
            )
            for ours, theirs in chosen.items()
        }
        if self.label_names is None:  # the data set itself says which number is which class
            return {ours: replace(split, are_positions=False) for ours, split in examples.items()}
        return examples

    def _fetch(self) -> Mapping[str, Any]:
        try:
            import datasets
        except ImportError:
            raise MissingExtraError("data=hub", package="datasets", extra="hub") from None
        folder = Path(self.name)
        try:
            if (folder / "dataset_dict.json").is_file():
                return datasets.load_from_disk(str(folder))
            return datasets.load_dataset(self.name, self.subset, revision=self.revision)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise UserError(
                f"data.name={self.name}",
                found=f"no data set that can be loaded ({type(error).__name__}: {shorten(str(error), 120)})",
                expected="a data set on the hub, in the local cache (HF_HOME), or a local folder",
                fix="leave data.name out and set data=demo (no download); or, with a network, check the name",
            ) from error

    def _columns(self, split: Any) -> Columns:
        """Take the class names of the data set if the user gave none and its label column has them."""
        label = next((name for name in (self.label_column, *LABEL_COLUMNS) if name in split.features), None)
        names = getattr(split.features.get(label), "names", None)
        if self.label_names is not None or not names or all(name.isdigit() for name in names):
            return self
        return replace(self, label_names=names)


def _choose(wanted: Mapping[str, str | None], available: Collection[str]) -> dict[str, str]:
    """Return the splits to load: names of the data set by ours (train, val, test)."""
    chosen = {ours: theirs for ours, theirs in wanted.items() if theirs and theirs != AUTO}
    for ours in (name for name, theirs in wanted.items() if theirs == AUTO):
        usual = next((name for name in _USUAL[ours] if name in available and name not in chosen.values()), None)
        if usual:
            chosen[ours] = usual
    return chosen


def _with_lines(split: Any) -> Table:
    return split.to_dict() | {LINE: list(map(RowNumber, range(1, len(split) + 1)))}
