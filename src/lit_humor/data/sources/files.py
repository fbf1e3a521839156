"""Texts from the user's own files."""

from __future__ import annotations

from dataclasses import dataclass

from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.reading.columns import Columns
from lit_humor.data.reading.separated import Quoting
from lit_humor.data.reading.tables import Table, read_file


@dataclass(kw_only=True)
class TextFiles(Columns):
    """One file for each split: CSV, TSV, JSON, JSONL or Parquet; the columns as in ``Columns``.

    Attributes:
        train_path: Training rows; needed for training, not for evaluation.
        val_path: Validation rows, or None.
        test_path: Test rows, or None.
        quoting: Meaning of quotes in CSV and TSV. ``auto`` follows the CSV standard, but refuses a file in which a
            missing closing quote may have joined several rows; ``standard`` always follows it, so that a quoted field
            may have many lines; ``none`` treats quotes as plain characters and each line as a row.
    """

    train_path: str | None = None
    val_path: str | None = None
    test_path: str | None = None
    quoting: Quoting = "auto"

    def load(self) -> dict[str, Examples]:
        """Read the files.

        Raises:
            UserError: No file is named, or one of them is broken; names file and line.
        """
        named = {TRAIN: self.train_path, VAL: self.val_path, TEST: self.test_path}
        paths = {split: path for split, path in named.items() if path is not None}
        if not paths:
            raise UserError(
                "data.train_path",
                found="no path",
                expected="a CSV, TSV, JSON, JSONL or Parquet file",
                fix="set data.train_path=<file> (to evaluate: data.test_path=<file>)",
            )
        return {split: self.read(path) for split, path in paths.items()}

    def read(self, path: str) -> Examples:
        """Read a file; errors as in ``load``."""
        return self.read_table(path)[0]

    def read_table(self, path: str) -> tuple[Examples, Table]:
        """Read a file, and return all of its columns, too."""
        table, counts = read_file(path, self.quoting)
        return build_examples(table, self, path, counts), table
