"""Tables of results for the screen, which several tasks show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lit_humor.tasks.task import ResultTable


def scalar_table(
    split: str,
    results: Mapping[str, Any],
    names: Iterable[str],
    baseline: Mapping[str, Any] | None,
    baseline_name: str = "TF-IDF baseline",
) -> ResultTable:
    """The numbers of these names that a split has, beside those of the baseline where there is one."""
    shown = [name for name in names if isinstance(results.get(name), float)]
    columns = ["metric", "model"] + ([baseline_name] if baseline else [])
    rows = [[name, results[name], *([baseline.get(name, "")] if baseline else [])] for name in shown]
    return ResultTable(f"{split}: {results['rows']} rows", columns, rows)


def slice_tables(split: str, results: Mapping[str, Any], names: Sequence[str]) -> list[ResultTable]:
    """Return a table for each slice column: the number of rows of each value, and those of the metrics that it has."""
    tables = []
    for column, values in results["slices"].items():
        shown = [name for name in names if all(name in part for part in values.values())]
        rows = [[value, part["rows"], *(part[name] for name in shown)] for value, part in values.items()]
        tables.append(ResultTable(f"{split}: by {column}", (column, "rows", *shown), rows))
    return tables
