"""Texts from the user's own files."""

from __future__ import annotations

from dataclasses import dataclass

from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Columns, Examples, build_examples
from lit_humor.data.tables import read_table


@dataclass(kw_only=True)
class TextFiles(Columns):
    """One file a split: CSV, TSV, JSONL or Parquet; the columns as in ``Columns``.

    Attributes:
        train_path: Training rows; needed for training, not for evaluation.
        val_path: Validation rows, or None.
        test_path: Test rows, or None.
    """

    train_path: str | None = None
    val_path: str | None = None
    test_path: str | None = None

    def load(self) -> dict[str, Examples]:
        """Read the files that are named.

        Raises:
            UserError: No file is named, or one of them is broken; names file and line.
        """
        named = {TRAIN: self.train_path, VAL: self.val_path, TEST: self.test_path}
        paths = {split: path for split, path in named.items() if path is not None}
        if not paths:
            raise UserError(
                "data.train_path",
                found="no path",
                expected="a CSV, TSV, JSONL or Parquet file",
                fix="set data.train_path=<file> (to evaluate: data.test_path=<file>)",
            )
        return {split: build_examples(read_table(path), self, path) for split, path in paths.items()}
