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
_CHOSEN = "These rows chose the checkpoint, so their numbers are a little too good. "

Ends = tuple[float, float]


def with_interval(value: float, ends: Ends | None) -> str:
    """Return a number as text, with its interval if there is one."""
    return f"{value:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else f"{value:.3f}"


def lead_of(run: ScoredRun, task: Task) -> str:
    """Return a sentence with the main metrics of the headline split."""
    columns, results = run.predictions[run.headline], run.results[run.headline]
    ends = task.intervals(columns)
    numbers = [f"{name} {with_interval(results[name], ends[name])}" for name in ends if results.get(name) is not None]
    return f"{results['rows']:,} rows of {run.headline}: {', '.join(numbers)}."


def result_grids(run: ScoredRun, task: Task) -> list[Grid]:
    """Return tables of the metrics of each split, with intervals, next to those of the baseline."""
    grids = []
    for split, columns in run.predictions.items():
        results, baseline, ends = run.results[split], run.baselines.get(split, {}), task.intervals(columns)
        rows = [
            [name, with_interval(value, ends.get(name)), f"{baseline[name]:.3f}" if _is_number(baseline, name) else ""]
            for name, value in results.items()
            if isinstance(value, float)
        ]
        caption = f"{split}: {results['rows']:,} rows ({run.origins.get(split, split)})"
        note = (_CHOSEN if split == VAL else "") + INTERVALS
        grids.append(Grid(caption, ["metric", "model", "TF-IDF baseline"], rows, note))
    return grids


def slice_grids(split: str, columns: Mapping[str, Sequence[Any]], task: Task) -> list[Grid]:
    """Return tables of metrics, with intervals, for each value of each slice column."""
    grids = []
    for column in (name for name in SLICE_COLUMNS if name in columns):
        rows = []
        names: list[str] = []
        for value in sorted({str(cell) for cell in columns[column] if cell not in (None, "")}):
            members = [row for row, cell in enumerate(columns[column]) if str(cell) == value]
            part = {name: [values[row] for row in members] for name, values in columns.items()}
            numbers, ends = task.measure_columns(part), task.intervals(part)
            names = names or [name for name in task.compared if name in numbers]
            cells = (with_interval(numbers[n], ends.get(n)) if numbers[n] is not None else "" for n in names)
            rows.append([value, *cells, str(len(members))])
        if rows:
            grids.append(Grid(f"{split}: by {column}", [column, *names, "rows"], rows, INTERVALS))
    return grids


def row_grid(
    caption: str, columns: Mapping[str, Sequence[Any]], rows: Iterable[int], shown: Mapping[str, Sequence[Any]]
) -> Grid:
    """Return a table of the first 50 of some rows, in the given order, with their texts and other columns."""
    order = list(rows)
    cells = [
        [str(columns["id"][row]), row_text(columns, row), *(_cell(values[row]) for values in shown.values())]
        for row in order[:SHOWN]
    ]
    note = f"The first {SHOWN}; all rows are in predictions/." if len(order) > SHOWN else ""
    return Grid(caption, ["id", "text", *shown], cells, note, bool(cells), texts=(1,))


def row_text(columns: Mapping[str, Sequence[Any]], row: int) -> str:
    """Return the text of a row, followed by its second text if there is one."""
    pair = columns["text_pair"][row] if "text_pair" in columns else None
    return f"{columns['text'][row]} ‖ {pair}" if pair else str(columns["text"][row])


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(results: Mapping[str, Any], name: str) -> bool:
    return isinstance(results.get(name), float)
