"""Many runs in one table: mean, spread and interval over repeats, paired with the first variant. Legend: R repeats."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from lit_humor.pages.page import Grid, Section, render
from lit_humor.runs import record
from lit_humor.runs.plans import PlannedRun

METRICS = ("f1", "accuracy", "f1_macro", "mcc", "auroc", "calibration_error")
_LOW_IS_GOOD = ("calibration_error",)
_LEVEL = 0.95


def write_summary(done: Sequence[tuple[PlannedRun, Path]], each: str, folder: Path, title: str) -> Grid:
    """Write ``summary.md``, ``.csv`` (a line a run) and ``.html``; return the table.

    Args:
        done: Runs that are done, with their folders.
        each: What a repeat is, such as ``seed``.
        folder: Where to write.
        title: Of the page.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
    """
    rows = [_row(run, path, each) for run, path in done]
    table = _table(rows, each)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    record.write_text(folder / "summary.csv", lines.getvalue())
    record.write_text(folder / "summary.md", _markdown(title, table))
    columns, cells = list(rows[0]), [[_text(value) for value in row.values()] for row in rows]
    sections = [Section("Variants", [table]), Section("Runs", [Grid("Every run", columns, cells, "", True)])]
    record.write_text(folder / "summary.html", render("report.html", title=title, lead="", sections=sections))
    return table


def join_predictions(done: Sequence[tuple[PlannedRun, Path]], path: Path) -> int:
    """Write the test predictions of all runs as one Parquet file, with their variant and repeat; return the rows."""
    tables = []
    for run, folder in done:
        table = pq.read_table(folder / record.PREDICTIONS / "test.parquet")
        for name, value in (("repeat", pa.scalar(run.repeat)), ("variant", pa.scalar(run.variant))):
            table = table.add_column(0, name, pa.repeat(value, len(table)))
        tables.append(table)
    whole = pa.concat_tables(tables, promote_options="default")
    with record.replacing(path) as unfinished:
        pq.write_table(whole, unfinished)
    return len(whole)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the 95 % interval of the mean, by Student's t over repeats; infinite for fewer than two."""
    if len(values) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


def paired_difference(values: Mapping[int, float], base: Mapping[int, float]) -> tuple[float, float]:
    """Mean difference over the repeats that both have, and the two-sided p of the paired t test; nan where untold."""
    shared = sorted(values.keys() & base.keys())
    differences = [values[repeat] - base[repeat] for repeat in shared]
    if not differences:
        return math.nan, math.nan
    if len(shared) < 2 or statistics.stdev(differences) == 0:
        return statistics.mean(differences), math.nan
    return statistics.mean(differences), float(stats.ttest_1samp(differences, 0.0).pvalue)


def _row(run: PlannedRun, folder: Path, each: str) -> dict[str, Any]:
    """What a run came to, on its test rows where it has some."""
    results = record.read_json(folder / record.RESULT)["results"]
    split = "test" if "test" in results else "val"
    scores = {metric: results[split].get(metric) for metric in METRICS}
    return {"run": folder.name, "variant": run.variant or "all", each: run.repeat, "split": split, **scores}


def _table(rows: Sequence[Mapping[str, Any]], each: str) -> Grid:
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    found = {
        (variant, metric): {
            row[each]: row[metric] for row in rows if row["variant"] == variant and row[metric] is not None
        }
        for variant in variants
        for metric in METRICS
    }
    means = {key: statistics.mean(values.values()) for key, values in found.items() if values}
    cells = []
    for variant in variants:
        line = [variant, str(len(found[variant, METRICS[0]]))]
        line += [_cell(found[variant, metric], _is_best(means, variant, metric)) for metric in METRICS]
        low, high = interval(list(found[variant, METRICS[0]].values()))
        line.append(f"{low:.3f} to {high:.3f}" if math.isfinite(low) else "")
        difference, p = paired_difference(found[variant, METRICS[0]], found[variants[0], METRICS[0]])
        told = "" if math.isnan(p) else f" (p {p:.3f})"
        line.append("" if variant == variants[0] else f"{difference:+.3f}{told}")
        cells.append(line)
    columns = ["variant", "runs", *METRICS, "f1, 95 %", f"f1 less {variants[0]}"]
    note = (
        f"On {rows[0]['split']} rows: mean ± standard deviation over each {each}; * the best mean. 95 %: of the mean, "
        f"by Student's t. p: paired t test over each {each} that both have; of many such tests some find chance."
    )
    return Grid("Variants", columns, cells, note)


def _is_best(means: Mapping[tuple[str, str], float], variant: str, metric: str) -> bool:
    """Whether a variant has the best mean of several."""
    rivals = [value for (_, name), value in means.items() if name == metric]
    best = min(rivals, default=None) if metric in _LOW_IS_GOOD else max(rivals, default=None)
    return len(rivals) > 1 and means.get((variant, metric)) == best


def _cell(values: Mapping[int, float], is_best: bool) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values.values()):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values.values()):.3f}{spread}{' *' if is_best else ''}"


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)


def _markdown(title: str, table: Grid) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join([f"# {title}", "", *("| " + " | ".join(line) + " |" for line in lines), "", table.note, ""])
