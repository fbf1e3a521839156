"""Files of somebody's answers to the rows of a run: a language model's, raters', another tool's. Legend: N rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.core.batch import PROBABILITY
from lit_humor.core.errors import UserError, list_names, shorten
from lit_humor.data.reading.columns import TEXT_COLUMNS, find_column, match_column
from lit_humor.data.reading.kinds import ENDINGS
from lit_humor.data.reading.places import name_place
from lit_humor.data.reading.separated import Quoting
from lit_humor.data.reading.tables import LINE, Table, read_table
from lit_humor.tasks.answers import PREDICTION
from lit_humor.tasks.reports.scored import ScoredRun

_ID = "id"
_SHOWN = 3  # ids of a message
_CERTAIN = ("answer", PREDICTION)  # answers and nothing else; a label may also be the true one


def is_answers(name: str) -> bool:
    """Whether a member of a comparison is a file, not a run folder."""
    path = Path(name)
    return path.is_file() or (path.suffix.lower() in ENDINGS and not path.is_dir())


@dataclass(frozen=True)
class Answers:
    """A file of answers.

    Attributes:
        path: The file.
        ids: [N] ids of the rows of the run.
        values: [N] values of the column of answers, as in the file.
        column: Name of that column.
        places: [N] file and line (or row) of each answer.
        texts: [N] texts of the rows, or None.
    """

    path: Path
    ids: list[str]
    values: list[Any]
    column: str
    places: list[str]
    texts: list[Any] | None


@dataclass(frozen=True)
class Joined:
    """The rows that a run and a file of answers have in common. M rows.

    Attributes:
        split: The split of the run.
        of_run: [M] int64, positions among the predictions of the run, ascending.
        of_file: [M] int64, positions in the file.
        note: A sentence with the numbers of rows in common, and of those that only one of the two has.
    """

    split: str
    of_run: np.ndarray
    of_file: np.ndarray
    note: str

    def pair(self, run: ScoredRun, answers: dict[str, list[Any]]) -> tuple[ScoredRun, ScoredRun]:
        """Return run and answers as peers: predictions of the rows in common.

        Args:
            run: The run.
            answers: [M] values of the columns of predictions that differ from those of the run.
        """
        columns = {name: [values[row] for row in self.of_run] for name, values in run.predictions[self.split].items()}
        asked = {
            name: cells for name, cells in columns.items() if name != PREDICTION and not name.startswith(PROBABILITY)
        }
        sides = ({self.split: columns}, {self.split: {**asked, **answers}})
        first, second = (ScoredRun(predictions=side, results={}, baselines={}, origins=run.origins) for side in sides)
        return first, second


def read_answers(path: Path, quoting: Quoting, usual: Sequence[str]) -> Answers:
    """Read a file of answers: a column ``id`` and one of answers.

    Args:
        path: A CSV, TSV, JSON, JSONL or Parquet file.
        quoting: What quotes in CSV and TSV mean.
        usual: Names that a column of answers may have beside ``answer`` and ``prediction``, which come first.

    Raises:
        UserError: The file cannot be read, it lacks one of the columns, several columns may be the answers, or an id
            stands twice.
    """
    table = read_table(path, quoting, "quoting")
    names = [name for name in table if name != LINE]
    id_column = find_column(table, None, (_ID,), None, str(path))
    column = find_column(table, None, (*_CERTAIN, *usual), None, str(path))
    candidates = [match for name in usual if (match := match_column(names, (name,)))]
    if column in candidates and len(candidates) > 1:
        raise UserError(
            str(path),
            found=f"columns {' and '.join(candidates)}",
            expected="one column of answers",
            fix=f"name the column of answers '{_CERTAIN[0]}'",
        )
    text_column = match_column(names, TEXT_COLUMNS)
    ids = [str(value) for value in table[id_column]]
    places = _places(path, table)
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if first.setdefault(name, row) != row:
            raise UserError(
                f"{places[row]}, column '{id_column}'",
                found=f"{shorten(name)} again, as in {name_place(table[LINE][first[name]])}",
                expected="each id once",
                fix="leave one answer of each row in the file",
            )
    return Answers(path, ids, table[column], column, places, None if text_column is None else table[text_column])


def join(run: ScoredRun, answers: Answers, answered: np.ndarray) -> Joined:
    """Find the rows that a run and answers have in common: those of the headline split with an answer.

    Args:
        run: The run.
        answers: The file.
        answered: [N] bool, whether a row of the file has an answer.

    Raises:
        UserError: They have no row in common, an id stands twice in the run, or a row has another text there.
    """
    split, columns = run.headline, run.predictions[run.headline]
    ids = [str(value) for value in columns[_ID]]
    row_of = {name: row for row, name in enumerate(ids)}
    if len(row_of) < len(ids):
        twice = next(name for row, name in enumerate(ids) if row_of[name] != row)
        raise UserError(
            "runs",
            found=f"id {shorten(twice)} twice in {split} of the run",
            expected="an id for each row of the run, by which answers are matched",
            fix="give each row of the data an id of its own and train again",
        )
    pairs = sorted((row_of[name], row) for row, name in enumerate(answers.ids) if name in row_of and answered[row])
    if not pairs:
        named = list_names(map(repr, answers.ids), _SHOWN)
        raise UserError(
            str(answers.path),
            found=f"no answers to rows of {split} among those to {named}" if answered.any() else "no answers",
            expected=f"a column '{_ID}' with ids of {split}, such as {list_names(map(repr, ids), _SHOWN)}",
            fix=f"write the ids of predictions/{split}.parquet in the run folder beside the answers",
        )
    for row, place in pairs:
        _check_text(answers, place, columns["text"][row])
    of_run, of_file = np.asarray(pairs, dtype=np.int64).T
    foreign = sum(name not in row_of for name in answers.ids)
    note = (
        f"{answers.path.name} has answers (column {answers.column}) to {len(pairs):,} of {len(ids):,} rows of {split}"
    )
    left_out = len(ids) - len(pairs)
    note += f"; {left_out:,} of the run without an answer are left out" if left_out else ""
    note += f"; {foreign:,} of its rows are not in {split}" if foreign else ""
    return Joined(split, of_run, of_file, f"{note}.")


def _check_text(answers: Answers, row: int, text: str) -> None:
    """Raise an error if a row has another text than the run, whatever their blanks."""
    if answers.texts is None or _bare(answers.texts[row]) == _bare(text):
        return
    raise UserError(
        f"{answers.places[row]}, column 'text'",
        found=shorten(answers.texts[row]),
        expected=f"the text of {shorten(answers.ids[row])} in the run, {shorten(text)}",
        fix="write the id of its text beside each answer, or leave the texts out",
    )


def _bare(text: Any) -> str:
    """Return a text without what programs change: blanks, and an apostrophe before a formula."""
    return " ".join(str(text).split()).lstrip("'")


def _places(path: Path, table: Table) -> list[str]:
    return [f"{path}, {name_place(number)}" for number in table[LINE]]
