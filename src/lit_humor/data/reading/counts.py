"""Counts the rows and lines of a file while it is read, for a note to the user."""

from __future__ import annotations

from dataclasses import dataclass

from lit_humor.data.reading.separated import Row


@dataclass
class FileCounts:
    """Counts of a file, taken while it was read.

    Attributes:
        path: The file.
        rows: Number of rows.
        lines: Number of lines after the header without blank ones; in JSON and Parquet the number of rows.
        rows_of_several_lines: Rows with line breaks in a field.
        first_of_several_lines: Number of the first line of the first such row.
        rows_with_stray_quotes: Rows with unbalanced quotes, which were read as plain characters.
        note: Another note on how the file was read; may be empty.
    """

    path: str
    rows: int = 0
    lines: int = 0
    rows_of_several_lines: int = 0
    first_of_several_lines: int = 0
    rows_with_stray_quotes: int = 0
    note: str = ""

    def add(self, row: Row) -> None:
        """Count a row of a CSV or TSV file."""
        self.rows += 1
        self.lines += 1 if len(row.lines) == 1 else sum(1 for line in row.lines if line.strip("\r\n"))
        if len(row.lines) > 1:
            self.rows_of_several_lines += 1
            self.first_of_several_lines = self.first_of_several_lines or row.first
        self.rows_with_stray_quotes += row.as_typed

    def describe(self) -> str:
        """Return one line for the screen, or an empty text if nothing is unusual."""
        summary = self.summary()
        return f"{self.path}: {summary}" if summary else ""

    def summary(self) -> str:
        """Return the same without the name of the file."""
        parts = [self.note] if self.note else []
        if self.lines != self.rows or self.rows_of_several_lines:
            parts.append(f"{self.lines:,} lines after the header, {self.rows:,} rows")
            if self.rows_of_several_lines == 1:
                parts.append(f"1 row of several lines (line {self.first_of_several_lines})")
            else:
                place = f"the first in line {self.first_of_several_lines}"
                parts.append(f"{self.rows_of_several_lines:,} rows of several lines ({place})")
        if self.rows_with_stray_quotes:
            rows = "1 row has" if self.rows_with_stray_quotes == 1 else f"{self.rows_with_stray_quotes:,} rows have"
            parts.append(f"{rows} quotes without a partner; they are kept as characters")
        return ", ".join(parts)
