"""Parts that pages of several tasks use: metrics with intervals, metrics by slice, tables of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lit_humor.core.batch import SLICE_COLUMNS, VAL
from lit_humor.pages.page import Grid
from lit_humor.tasks.reports.scored import ScoredRun
from lit_humor.tasks.task import Task

SHOWN = 50
INTERVALS = "95 % intervals over rows in brackets; rows are assumed to be independent."
_FEW_ROWS = 30
_FEW = f"Slices of fewer than {_FEW_ROWS} rows tell little; their intervals are too narrow."
_LONG = 1e6  # numbers from here on are shown by their power of ten
_CHOSEN = "These rows chose the checkpoint, so their numbers are a little too good. "

Ends = tuple[float, float]
Cells = Sequence[Any] | Mapping[int, Any]  # of a column, by row


def with_interval(value: float, ends: Ends | None, sign: str = "") -> str:
    """Return a number as text, with its interval if there is one; ``sign`` ``+`` shows the sign of each."""
    shown, *shown_ends = (_number(number, sign) for number in (value, *(ends or ())))
    return f"{shown} [{', '.join(shown_ends)}]" if ends else shown


def lead_of(run: ScoredRun, task: Task) -> str:
    """Return a sentence with the main metrics of the headline split."""
    columns, results = run.predictions[run.headline], run.results[run.headline]
    ends = task.intervals(columns)
    numbers = [f"{name} {with_interval(results[name], ends[name])}" for name in ends if results.get(name) is not None]
    return f"{results['rows']:,} rows of {run.headline}: {', '.join(numbers)}."


def result_grids(run: ScoredRun, task: Task, about: str = "", baseline_name: str = "TF-IDF baseline") -> list[Grid]:
    """Return tables of the metrics of each split, with intervals, next to those of the baseline.

    Args:
        run: The run.
        task: Whose metrics are shown.
        about: What follows the name of the split in titles, where a run has several tasks.
        baseline_name: Title of the column of the baseline.
    """
    grids = []
    for split, columns in run.predictions.items():
        results, baseline, ends = run.results[split], run.baselines.get(split, {}), task.intervals(columns)
        rows = [
            [name, with_interval(value, ends.get(name)), _number(baseline[name]) if _is_number(baseline, name) else ""]
            for name, value in results.items()
            if isinstance(value, float) and name in task.definitions
        ]
        caption = f"{split}{about}: {results['rows']:,} rows ({run.origins.get(split, split)})"
        note = (_CHOSEN if split == VAL else "") + INTERVALS
        grids.append(Grid(caption, ["metric", "model", baseline_name], rows, note))
    return grids


def slice_grids(
    split: str, columns: Mapping[str, Sequence[Any]], task: Task, wanted: Sequence[str] | None = None
) -> list[Grid]:
    """Return tables of metrics, with intervals, for each value of each slice column: the wanted ones, or the main."""
    grids = []
    for column in (name for name in SLICE_COLUMNS if name in columns):
        rows = []
        names: list[str] = []
        for value in sorted({str(cell) for cell in columns[column] if cell not in (None, "")}):
            members = [row for row, cell in enumerate(columns[column]) if str(cell) == value]
            part = {name: [values[row] for row in members] for name, values in columns.items()}
            numbers, ends = task.measure_columns(part), task.intervals(part)
            names = names or [name for name in wanted or task.compared if name in numbers]
            cells = (with_interval(numbers[n], ends.get(n)) if numbers[n] is not None else "" for n in names)
            rows.append([value, *cells, str(len(members))])
        note = f"{INTERVALS} {_FEW}" if any(int(row[-1]) < _FEW_ROWS for row in rows) else INTERVALS
        if rows:
            grids.append(Grid(f"{split}: by {column}", [column, *names, "rows"], rows, note))
    return grids


def row_grid(
    caption: str,
    columns: Mapping[str, Sequence[Any]],
    rows: Iterable[int],
    shown: Mapping[str, Cells],
    *,
    texts: Sequence[str] = (),
    limit: int = SHOWN,
    note: str = "",
) -> Grid:
    """Return a table of the first of some rows, in the given order, with their texts and other columns.

    Args:
        caption: Title of the table.
        columns: Columns of the predictions.
        rows: Their rows to show.
        shown: Columns beside ``id`` and ``text``.
        texts: Those of ``shown`` that are long texts.
        limit: Most rows.
        note: A sentence below the table.
    """
    order = list(rows)
    cells = [
        [str(columns["id"][row]), row_text(columns, row), *(_cell(values[row]) for values in shown.values())]
        for row in order[:limit]
    ]
    cut = f"The first {limit}; all rows are in predictions/." if len(order) > limit else ""
    long = tuple(place for place, name in enumerate(shown, start=2) if name in texts)
    return Grid(caption, ["id", "text", *shown], cells, f"{note} {cut}".strip(), bool(cells), texts=(1, *long))


def row_text(columns: Mapping[str, Sequence[Any]], row: int) -> str:
    """Return the text of a row, followed by its second text if there is one."""
    pair = columns["text_pair"][row] if "text_pair" in columns else None
    return f"{columns['text'][row]} ‖ {pair}" if pair else str(columns["text"][row])


def _cell(value: Any) -> str:
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}" if abs(value) < _LONG else f"{value:{sign}.3g}"


def _is_number(results: Mapping[str, Any], name: str) -> bool:
    return isinstance(results.get(name), float)
