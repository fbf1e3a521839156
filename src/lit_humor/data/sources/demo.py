"""The demo corpus, which was written for this project and comes with it."""

from __future__ import annotations

from pathlib import Path

from lit_humor.core.batch import SPLITS
from lit_humor.core.errors import UserError
from lit_humor.data.examples import Examples, build_examples
from lit_humor.data.reading.columns import Columns
from lit_humor.data.reading.tables import FILE, LINE, Table, read_table

CORPUS_DIR = Path(__file__).parents[1] / "corpus"


class DemoCorpus:
    """Short humorous and serious texts in several languages; see ``data/corpus/README.md``.

    Args:
        languages: Languages to take, e.g. ``[en]``; None takes all.
        rows_per_split: Take only the first rows of each split (for smoke tests); None takes all.
    """

    def __init__(self, languages: list[str] | None = None, rows_per_split: int | None = None) -> None:
        self.languages = languages
        self.rows_per_split = rows_per_split

    def load(self) -> dict[str, Examples]:
        """Read the corpus.

        Raises:
            UserError: The corpus lacks one of the languages.
        """
        known = sorted(path.stem for path in CORPUS_DIR.glob("*.csv"))
        languages = known if self.languages is None else list(self.languages)
        unknown = sorted(set(languages) - set(known))
        if unknown or not languages:
            raise UserError(
                "data.languages",
                found=str(unknown or languages),
                expected=f"some of {known}",
                fix=f"set data.languages=[{known[0]}]",
            )
        tables = [read_corpus(f"{language}.csv") for language in languages]
        merged = {name: [value for table in tables for value in table[name]] for name in tables[0]}
        return split_corpus(merged, Columns(group_column="pair_id"), "data=demo", self.rows_per_split)


def read_corpus(file: str) -> Table:
    """Read a file of the corpus."""
    table = read_table(CORPUS_DIR / file)
    return table | {FILE: [file] * len(table[LINE])}


def split_corpus(corpus: Table, columns: Columns, origin: str, rows_per_split: int | None) -> dict[str, Examples]:
    """Return the splits that a table names in ``split``, or some evenly spaced rows of each."""
    splits = {}
    for split in SPLITS:
        rows = [row for row, name in enumerate(corpus["split"]) if name == split]
        if rows_per_split is not None:
            rows = [rows[index] for index in _spread(len(rows), rows_per_split)]
        table = {name: [values[row] for row in rows] for name, values in corpus.items()}
        splits[split] = build_examples(table, columns, f"{origin}, {split}")
    return splits


def _spread(num_rows: int, wanted: int) -> list[int]:
    """Return evenly spaced row numbers, so that a small part still has every language and both classes."""
    wanted = min(wanted, num_rows)
    return [index * num_rows // wanted for index in range(wanted)]
