"""Summarises many runs in one table: mean, spread and interval over repeats, difference to the first variant."""

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
from lit_humor.sweeps.comparing import compare, paired_difference
from lit_humor.sweeps.pairing import NOTE, right_alone
from lit_humor.sweeps.planned_runs import PlannedRun
from lit_humor.tasks.recorded import BEFORE_TASKS, RecordedTasks

_LEVEL = 0.95


def write_summary(
    done: Sequence[tuple[PlannedRun, Path]],
    each: str,
    folder: Path,
    title: str,
    matrix: str | None = None,
    metric: str | None = None,
    bases: Mapping[str, str] | None = None,
) -> list[Grid]:
    """Write ``summary.md``, ``.csv`` (one line for each run) and ``.html``; return the tables.

    Args:
        done: Runs that are done, with their folders.
        each: The key that distinguishes repeats, such as ``seed``.
        folder: Folder to write to.
        title: Title of the page.
        matrix: A slice column such as ``language``; adds a table of the scores of evaluations, with one row for each
            variant that was evaluated and one column for each value of that column.
        metric: The metric of intervals and differences; None, or one that the tasks do not compare, takes that which
            chooses checkpoints.
        bases: Variants of an ablation, each with the one to compare with; adds a table of these comparisons.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
    """
    tasks = record.read_tasks(done[0][1])
    compared = tasks.compared
    if metric in compared:
        compared = {metric: compared[metric]} | compared
    rows = [_row(run, path, each, list(compared)) for run, path in done]
    tables = [_table(rows, each, compared, right_alone(done, tasks))]
    tables += [_matrix(done, matrix, tasks.score)] if matrix else []
    tables += [compare(done, bases)] if bases else []
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
    """Write the trials of a search to the same three files, best first; return the table.

    Args:
        rows: ``trial``, ``state``, settings, ``val <score>`` (if done), and further columns to show.
        has_recipe: Whether the first trial has the default settings.
        folder: Folder to write to.
        title: Title of the page.
        tasks: The tasks of the trials, with the score to rank by.

    Raises:
        MissingExtraError: The ``report`` extra is not installed.
    """
    goal, sign = f"val {tasks.score}", 1 if tasks.mode == "max" else -1
    ranked = sorted(rows, key=lambda row: -sign * row[goal] if row.get(goal) is not None else math.inf)
    table = _grid("Trials", ranked, _trials_note(rows if has_recipe else [], ranked[0], tasks.score, sign))
    _write(folder, title, ranked, [table], [Section("Trials", [table])])
    return table


def _trials_note(rows: Sequence[Mapping[str, Any]], best: Mapping[str, Any], score: str, sign: int) -> str:
    """Compare the best trial to the first one, which has the default settings."""
    goal, on_test = f"val {score}", f"test {score}"
    first = next((row for row in rows if row["trial"] == 0 and goal in row), None)
    if goal not in best or first is None:
        return "No trial that could be compared has ended."
    gain = best[goal] - first[goal]
    if sign * gain <= 0:
        return "Trial 0 has the default settings; no trial was better on validation."
    comparison = f"differs by {gain:+.4f} on the validation rows, which chose it"
    if on_test in best and on_test in first:
        comparison += f", and by {best[on_test] - first[on_test]:+.4f} on test"
    return f"Trial 0 has the default settings; the best, trial {best['trial']}, {comparison}."


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
    """A table of all rows, without aggregation."""
    columns = _columns(rows)
    return Grid(caption, columns, [[_text(row.get(name), name) for name in columns] for row in rows], note, True)


def join_predictions(done: Sequence[tuple[PlannedRun, Path]], path: Path) -> int:
    """Write the test predictions of all runs, with variant and repeat, to one Parquet file; return how many."""
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
    """Return the ends of the 95 % interval of the mean, by Student's t; infinite for fewer than two values."""
    if len(values) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf((1 + _LEVEL) / 2, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


def _row(run: PlannedRun, folder: Path, each: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the scores of a run, on its test rows if it has any, otherwise on its validation rows."""
    results = record.read_json(folder / record.RESULT)["results"]
    split = "test" if "test" in results else "val"
    scores = {metric: results[split].get(metric) for metric in names}
    return {"run": folder.name, "variant": run.variant or "all", each: run.repeat, "split": split, **scores}


def _table(
    rows: Sequence[Mapping[str, Any]], each: str, compared: Mapping[str, str], rights: Mapping[str, str]
) -> Grid:
    metrics, variants = list(compared), list(dict.fromkeys(row["variant"] for row in rows))
    values_of = {
        (variant, metric): {
            row[each]: row[metric] for row in rows if row["variant"] == variant and row[metric] is not None
        }
        for variant in variants
        for metric in metrics
    }
    means = {key: statistics.mean(values.values()) for key, values in values_of.items() if values}
    cells = []
    for variant in variants:
        line = [variant, str(len(values_of[variant, metrics[0]]))]
        line += [
            _cell(values_of[variant, name], _is_best(means, variant, name, mode)) for name, mode in compared.items()
        ]
        low, high = interval(list(values_of[variant, metrics[0]].values()))
        line.append(f"{low:.3f} to {high:.3f}" if math.isfinite(low) else "")
        difference, p = paired_difference(values_of[variant, metrics[0]], values_of[variants[0], metrics[0]])
        p_text = "" if math.isnan(p) else f" (p {p:.3f})"
        line.append("" if variant == variants[0] else f"{difference:+.3f}{p_text}")
        line += [rights.get(variant, "")] if rights else []
        cells.append(line)
    columns = ["variant", "runs", *metrics, f"{metrics[0]}, 95 %", f"{metrics[0]} minus {variants[0]}"]
    columns += [f"right alone : only {variants[0]}"] if rights else []
    note = (
        f"On {rows[0]['split']} rows: mean ± standard deviation over {each}; * the best mean. 95 %: interval of the "
        f"mean, by Student's t. p: paired t test over common {each}; of many tests some give a small p by chance."
    )
    note += f" {NOTE}" if rights else ""
    return Grid("Variants", columns, cells, note)


def _matrix(done: Sequence[tuple[PlannedRun, Path]], column: str, score: str) -> Grid:
    """A table of the score by the variant that was trained and the value of the column that it was tested on."""
    scores_of: dict[str, dict[str, dict[int, float]]] = {}
    for run, folder in done:
        if run.command == "eval":
            (results,) = record.read_json(folder / record.RESULT)["results"].values()
            for value, scores in results["slices"].get(column, {}).items():
                scores_of.setdefault(run.after[0], {}).setdefault(value, {})[run.repeat] = scores[score]
    values = list(dict.fromkeys(value for line in scores_of.values() for value in line))
    cells = [[name, *(_cell(line.get(value, {}), False) for value in values)] for name, line in scores_of.items()]
    note = f"{score.capitalize()}: rows say what a model was trained on, columns the {column} that it was tested on."
    return Grid(f"Transfer by {column}", ["trained on", *values], cells, note)


def _is_best(means: Mapping[tuple[str, str], float], variant: str, metric: str, mode: str) -> bool:
    """Whether a variant has the best mean of at least two."""
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
    parts = [line for table in tables for line in ("", *markdown.table(table.columns, table.rows), "", table.note)]
    return "\n".join([f"# {title}", *parts, ""])
