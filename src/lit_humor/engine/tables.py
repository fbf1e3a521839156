"""Tables of a run for the screen: hardware plan, data, parameter groups, results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from lit_humor.engine.hardware import Plan
from lit_humor.runs.screen import Titled, table
from lit_humor.tasks.task import Task


def plan_table(plan: Plan) -> Titled:
    """Return a table of the hardware plan with its reasons."""
    values = plan.to_dict()
    rows = [(name.replace("_", " "), values[name], reason) for name, reason in plan.reasons.items()]
    return table(f"Hardware plan: {plan.global_batch_size} rows an optimizer step", ("what", "choice", "why"), rows)


def data_tables(report: Mapping[str, Any]) -> list[RenderableType]:
    """Return tables and warnings of the data report."""
    rows = []
    for name, split in report["splits"].items():
        classes = ", ".join(f"{label} {count}" for label, count in split["classes"].items())
        lengths = " / ".join(str(value) for value in split["tokens"].values())
        rows.append((name, split["rows"], classes, lengths, split["truncated"], split["duplicates"]))
    columns = ("split", "rows", "classes", "tokens p50 / p90 / p99 / max", "truncated", "duplicates")
    shown: list[RenderableType] = [table("Data", columns, rows)]
    shown += [file["summary"] for file in report["files"] if file["summary"]]
    if report.get("curriculum"):
        shown.append(f"Training rows: {report['curriculum']}")
    shown += _kept_together(report.get("alike"))
    shown += report.get("notes", [])
    first = next(iter(report["splits"].values()))
    for name, counts in first["slices"].items():
        shown.append(f"{name} ({next(iter(report['splits']))}): " + ", ".join(f"{k} {v}" for k, v in counts.items()))
    leaks = {pair: count for pair, count in report["leaks"].items() if count}
    for pair, count in leaks.items():
        shown.append(
            f"Warning: {count} texts stand in both splits of {pair}; the numbers of the later split are too good."
        )
    for key, what in (
        ("label_conflicts", "texts with two labels"),
        ("groups_across", "groups in two splits"),
    ):
        if report[key]:
            shown.append(f"Warning: {report[key]} {what}; audit.py names them.")
    return shown


def _kept_together(alike: Mapping[str, Any] | None) -> list[RenderableType]:
    """Return what was done with similar texts when the splits were drawn."""
    if not alike or not alike["rows"]:
        return []
    key = f"data.split_similarity={alike['similarity']:g}"
    shown: list[RenderableType] = [
        f"Kept in one split: {alike['rows']} rows in {alike['clusters']} clusters, of a group or similar texts ({key})"
    ]
    if alike["divided"]:
        shown.append(
            f"Warning: {alike['divided']} rows are in clusters of similar texts too large for one split; only more "
            "similar ones stay together. Scores on such splits are too good: give files of other texts "
            "(data.val_path, data.test_path)."
        )
    return shown


def group_table(groups: Sequence[Mapping[str, Any]], learning_rate: float, lr_scale: float) -> Titled:
    """Return a table of the parameter groups with their learning rates and the factors of each."""
    top = learning_rate * lr_scale
    rows = [
        (
            group["name"],
            group["depth"],
            f"{group['lr']:.3e}",
            f"{learning_rate:g} x {lr_scale:g} x {group['lr'] / top:.3f}",
            f"{group['weight_decay']:g}",
            f"{sum(parameter.numel() for parameter in group['params']):,}",
        )
        for group in groups
    ]
    columns = ("group", "depth", "peak rate", "= base x scale x decay", "weight decay", "parameters")
    return table("Parameter groups", columns, rows)


def result_tables(
    tasks: Mapping[str, Task], split: str, results: Mapping[str, Any], baseline: Mapping[str, Any] | None
) -> list[RenderableType]:
    """Return the result tables of every task for one split."""
    return [table(*shown) for task in tasks.values() for shown in task.tables(split, results, baseline)]
