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

from lit_humor.core import markdown
from lit_humor.pages.page import Grid, Section, render
from lit_humor.runs import record
from lit_humor.sweeps.plans import PlannedRun
from lit_humor.tasks.recorded import BEFORE_TASKS, RecordedTasks

_LEVEL = 0.95


def write_summary(
    done: Sequence[tuple[PlannedRun, Path]], each: str, folder: Path, title: str, matrix: str | None = None
) -> list[Grid]:
    """Write ``summary.md``, ``.csv`` (a line a run) and ``.html``; return the tables.

    Args:
        done: Runs that are done, with their folders.
        each: What a repeat is, such as ``seed``.
        folder: Where to write.
        title: Of the page.
        matrix: A slice column such as ``language``: what evaluations say of each of its values, in a line for each
            variant that they evaluate.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
    """
    tasks = record.read_tasks(done[0][1])
    rows = [_row(run, path, each, list(tasks.compared)) for run, path in done]
    tables = [_table(rows, each, tasks.compared), *([_matrix(done, matrix, tasks.score)] if matrix else [])]
    _write(
        folder, title, rows, tables, [Section("Variants", list(tables)), Section("Runs", [_grid("Every run", rows)])]
    )
    return tables


def write_trials(
    rows: Sequence[Mapping[str, Any]],
    has_recipe: bool,
    folder: Path,
    title: str,
    tasks: RecordedTasks = BEFORE_TASKS,
) -> Grid:
    """Write what a search tried, in the same three files, the best first; return the table.

    Args:
        rows: ``trial``, ``state``, settings, ``val <score>`` (of those that are done), and whatever else to show.
        has_recipe: Whether the first has the settings without a search.
        folder: Where to write.
        title: Of the page.
        tasks: What the trials learn, and which number of it they follow.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
    """
    goal, sign = f"val {tasks.score}", 1 if tasks.mode == "max" else -1
    ranked = sorted(rows, key=lambda row: -sign * row[goal] if row.get(goal) is not None else math.inf)
    table = _grid("Trials", ranked, _told_by_trials(rows if has_recipe else [], ranked[0], tasks.score, sign))
    _write(folder, title, ranked, [table], [Section("Trials", [table])])
    return table


def _told_by_trials(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], score: str, sign: int) -> str:
    """What to say of the best trial, beside the first, which has the settings without a search."""
    goal, on_test = f"val {score}", f"test {score}"
    first = next((row for row in rows if row["trial"] == 0 and goal in row), None)
    if goal not in best or first is None:
        return "No trial to compare came to an end."
    gain = best[goal] - first[goal]
    if sign * gain <= 0:
        return "Trial 0 has the settings without a search; none did better on validation."
    told = f"beats it by {gain:+.4f} on the rows that chose it"
    if on_test in best and on_test in first:
        told += f", by {best[on_test] - first[on_test]:+.4f} on test"
    return f"Trial 0 has the settings without a search; the best, trial {best['trial']}, {told}."


def _write(
    folder: Path, title: str, rows: Sequence[Mapping[str, Any]], tables: Sequence[Grid], sections: Sequence[Section]
) -> None:
    lines = io.StringIO()
    writer = csv.DictWriter(lines, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    record.write_text(folder / "summary.csv", lines.getvalue())
    record.write_text(folder / "summary.md", _markdown(title, tables))
    record.write_text(folder / "summary.html", render("report.html", title=title, lead="", sections=sections))


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _grid(caption: str, rows: Sequence[Mapping[str, Any]], note: str = "") -> Grid:
    """Every row as it is."""
    columns = _columns(rows)
    return Grid(caption, columns, [[_text(row.get(name), name) for name in columns] for row in rows], note, True)


def join_predictions(done: Sequence[tuple[PlannedRun, Path]], path: Path) -> int:
    """Write the test predictions of all runs as one Parquet file, with their variant and repeat; return the rows."""
    tables = []
    for run, folder in done:
        table = pq.read_table(record.predictions_path(folder, "test"))
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


def _row(run: PlannedRun, folder: Path, each: str, names: Sequence[str]) -> dict[str, Any]:
    """What a run came to, on its test rows where it has some."""
    results = record.read_json(folder / record.RESULT)["results"]
    split = "test" if "test" in results else "val"
    scores = {metric: results[split].get(metric) for metric in names}
    return {"run": folder.name, "variant": run.variant or "all", each: run.repeat, "split": split, **scores}


def _table(rows: Sequence[Mapping[str, Any]], each: str, compared: Mapping[str, str]) -> Grid:
    metrics, variants = list(compared), list(dict.fromkeys(row["variant"] for row in rows))
    found = {
        (variant, metric): {
            row[each]: row[metric] for row in rows if row["variant"] == variant and row[metric] is not None
        }
        for variant in variants
        for metric in metrics
    }
    means = {key: statistics.mean(values.values()) for key, values in found.items() if values}
    cells = []
    for variant in variants:
        line = [variant, str(len(found[variant, metrics[0]]))]
        line += [_cell(found[variant, name], _is_best(means, variant, name, mode)) for name, mode in compared.items()]
        low, high = interval(list(found[variant, metrics[0]].values()))
        line.append(f"{low:.3f} to {high:.3f}" if math.isfinite(low) else "")
        difference, p = paired_difference(found[variant, metrics[0]], found[variants[0], metrics[0]])
        told = "" if math.isnan(p) else f" (p {p:.3f})"
        line.append("" if variant == variants[0] else f"{difference:+.3f}{told}")
        cells.append(line)
    columns = ["variant", "runs", *metrics, f"{metrics[0]}, 95 %", f"{metrics[0]} less {variants[0]}"]
    note = (
        f"On {rows[0]['split']} rows: mean ± standard deviation over each {each}; * the best mean. 95 %: of the mean, "
        f"by Student's t. p: paired t test over each {each} that both have; of many such tests some find chance."
    )
    return Grid("Variants", columns, cells, note)


def _matrix(done: Sequence[tuple[PlannedRun, Path]], column: str, score: str) -> Grid:
    """The number that runs follow, by what a model was trained on and what it was tested on."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for run, folder in done:
        if run.command == "eval":
            (results,) = record.read_json(folder / record.RESULT)["results"].values()
            for value, scores in results["slices"].get(column, {}).items():
                found.setdefault(run.after[0], {}).setdefault(value, {})[run.repeat] = scores[score]
    values = list(dict.fromkeys(value for line in found.values() for value in line))
    cells = [[name, *(_cell(line.get(value, {}), False) for value in values)] for name, line in found.items()]
    note = (
        f"{score.capitalize()}: what a model was trained on (lines) and the {column} that it was tested on (columns)."
    )
    return Grid(f"Transfer by {column}", ["trained on", *values], cells, note)


def _is_best(means: Mapping[tuple[str, str], float], variant: str, metric: str, mode: str) -> bool:
    """Whether a variant has the best mean of several."""
    rivals = [value for (_, name), value in means.items() if name == metric]
    best = min(rivals, default=None) if mode == "min" else max(rivals, default=None)
    return len(rivals) > 1 and means.get((variant, metric)) == best


def _cell(values: Mapping[int, float], is_best: bool) -> str:
    if not values:
        return ""
    return f"{markdown.mean_sd(list(values.values()), 3)}{' *' if is_best else ''}"


def _text(value: Any, name: str) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if name.endswith("f1") else f"{value:.4g}"
    return "" if value is None else str(value)


def _markdown(title: str, tables: Sequence[Grid]) -> str:
    parts = [line for one in tables for line in ("", *markdown.table(one.columns, one.rows), "", one.note)]
    return "\n".join([f"# {title}", *parts, ""])
