"""Texts from the user's own files."""

from __future__ import annotations

from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Columns, Examples, build_examples
from lit_humor.data.tables import read_table


class TextFiles:
    """One file a split: CSV, TSV, JSONL or Parquet.

    Args:
        train_path: Training rows; needed for training, not for evaluation.
        val_path: Validation rows, or None.
        test_path: Test rows, or None.
        text_column: Column of the text; None finds ``text`` or ``transcript``.
        label_column: Column of the label; None finds ``is_humor`` or ``label``.
        text_pair_column: Column of a second text, read by the model as a pair with the first.
        group_column: Rows with one value here stay in one split.
        label_names: Class names in class order; None takes 0/1, false/true, "not humor"/"humor".
    """

    def __init__(
        self,
        train_path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        text_column: str | None = None,
        label_column: str | None = None,
        text_pair_column: str | None = None,
        group_column: str | None = None,
        label_names: list[str] | None = None,
    ) -> None:
        self.paths = {TRAIN: train_path, VAL: val_path, TEST: test_path}
        self.columns = Columns(
            text=text_column,
            label=label_column,
            text_pair=text_pair_column,
            group=group_column,
            label_names=label_names,
        )

    def load(self) -> dict[str, Examples]:
        """Read the files that are named.

        Raises:
            UserError: No file is named, or one of them is broken; names file and line.
        """
        paths = {split: path for split, path in self.paths.items() if path is not None}
        if not paths:
            raise UserError(
                "data.train_path",
                found="no path",
                expected="a CSV, TSV, JSONL or Parquet file",
                fix="set data.train_path=<file> (to evaluate: data.test_path=<file>)",
            )
        return {split: build_examples(read_table(path), self.columns, path) for split, path in paths.items()}
