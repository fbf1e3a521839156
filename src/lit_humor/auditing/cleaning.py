"""Writes a cleaned copy of a data set, and a list of what it changed."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lit_humor.auditing.repairs import Repaired, repair
from lit_humor.auditing.rows import Rows
from lit_humor.core.batch import SPLITS
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import free_path
from lit_humor.core.settings import typed
from lit_humor.data.examples import Examples, Place, Reading
from lit_humor.data.reading.tables import FILE, LINE, safe_cell
from lit_humor.runs import record

CHANGES = "changes.csv"
_CHANGE_COLUMNS = ("action", "reason", "split", "to", "file", "line", "text", "mended_text")


@dataclass(frozen=True)
class Decision:
    """What happens to a row.

    Attributes:
        split: The split that the row is written to; None drops the row.
        reason: Why the row is moved or dropped; empty for a row that stays.
    """

    split: str | None
    reason: str = ""


def decide(
    rows: Rows, duplicates: Sequence[Sequence[int]], related: np.ndarray, empty: Collection[int] = ()
) -> list[Decision]:
    """Decide for each row whether it stays, moves to another split or is dropped.

    Related rows move to the split that has most of them (the first one of a tie). Of equal texts, the first one in that
    split stays. Equal texts with different labels are dropped: only a reader can know which label is right.

    Args:
        rows: All rows.
        duplicates: Groups of equal texts.
        related: [N] cluster numbers: rows that are nearly equal or of one group have the same number.
        empty: Numbers of the rows whose text is empty after the repair.

    Returns:
        [N] decisions.
    """
    counts: dict[int, Counter[str]] = {}
    for row, cluster in enumerate(related.tolist()):
        counts.setdefault(cluster, Counter())[rows.splits[row]] += 1
    target_splits = {
        cluster_id: max(SPLITS, key=lambda split: (rows_per_split[split], -SPLITS.index(split)))
        for cluster_id, rows_per_split in counts.items()
    }
    decisions = []
    for row, cluster in enumerate(related.tolist()):
        stays = rows.splits[row] == target_splits[cluster]
        decisions.append(Decision(target_splits[cluster], "" if stays else "related to rows of that split"))
    for group in duplicates:
        if len({int(rows.labels[row]) for row in group}) > 1:
            for row in group:
                decisions[row] = Decision(None, "equal texts with different labels")
        else:
            kept = min(group, key=lambda row: (bool(decisions[row].reason), row))
            for row in set(group) - {kept}:
                decisions[row] = Decision(None, f"equal to {rows.places[kept]}")
    for row in empty:
        decisions[row] = Decision(None, "no text is left after the repair")
    return decisions


def class_counts(rows: Rows, decisions: Sequence[Decision]) -> dict[str, list[tuple[int, int]]]:
    """Count the rows of each class before and after the cleaning: {split: [C] pairs}."""
    counts_by_split = {}
    for split in SPLITS:
        before = rows.labels[[name == split for name in rows.splits]]
        after = rows.labels[[decision.split == split for decision in decisions]]
        counts = [np.bincount(labels, minlength=len(rows.class_names)).tolist() for labels in (before, after)]
        if len(before):
            counts_by_split[split] = list(zip(*counts, strict=True))
    return counts_by_split


def check_is_new(folder: Path) -> None:
    """Raise a ``UserError`` if the folder exists: a clean copy never overwrites anything."""
    if folder.exists():
        problem, fix = "a path that exists already", f"set {typed('fix', str(free_path(folder)))}"
        raise UserError(f"fix={folder}", found=problem, expected="a new folder", fix=fix)


def check_is_of_tables(folder: Path, splits: Mapping[str, Examples], readings: Mapping[str, Reading]) -> None:
    """Raise a ``UserError`` if a split is not read from a table, whose rows and columns a copy could have."""
    others = [examples.origin for examples in splits.values() if examples.origin not in readings]
    if others:
        expected = "rows of a table, as of data=csv"
        raise UserError(f"fix={folder}", found=f"rows of {others[0]}", expected=expected, fix="leave fix out")


def write_clean_copy(
    folder: Path,
    rows: Rows,
    decisions: Sequence[Decision],
    splits: Mapping[str, Examples],
    readings: Mapping[str, Reading],
    repaired: Repaired,
) -> Counter[str]:
    """Write ``<split>.csv`` with all columns of the data, and ``changes.csv``; the folder appears when it is complete.

    Returns:
        The numbers of rows that were kept, moved and dropped, and of remaining rows that were repaired.

    Raises:
        UserError: The folder exists already, or cannot be created.
    """
    check_is_new(folder)
    table_rows = [
        (reading, row)
        for examples in splits.values()
        for reading in (readings[examples.origin],)
        for row in reading.kept()
    ]
    rows_by_split: dict[str, list[dict[str, Any]]] = {}
    split_by_origin = {examples.origin: split for split, examples in splits.items()}
    changes = [
        _change("dropped", f"found {problem.found}", split_by_origin.get(origin, ""), "", place, "")
        for origin, reading in readings.items()
        for place, problem in reading.rejected_places()
    ]
    action_counts = Counter(dropped=len(changes), moved=0, kept=0, repaired=0)
    for row, (decision, (reading, position)) in enumerate(zip(decisions, table_rows, strict=True)):
        action = "dropped" if decision.split is None else "moved" if decision.reason else "kept"
        action_counts[action] += 1
        columns = rows.splits[row], decision.split or "", rows.places[row], rows.texts[row]
        if action != "kept":
            changes.append(_change(action, decision.reason, *columns))
        if decision.split is not None:
            cells = {
                name: _cell(column[position]) for name, column in reading.table.items() if name not in (LINE, FILE)
            }
            if repaired.kinds[row]:
                action_counts["repaired"] += 1
                changes.append(_change("mended", ", ".join(repaired.kinds[row]), *columns, repaired.rows.texts[row]))
                cells |= {name: repair(str(cells[name]))[0] for name in reading.text_columns if cells[name]}
            rows_by_split.setdefault(decision.split, []).append(cells)
    _write_folder(folder, {f"{split}.csv": table for split, table in rows_by_split.items()} | {CHANGES: changes})
    return action_counts


def _change(
    action: str, reason: str, split: str, to: str, place: Place, text: str, repaired_text: str = ""
) -> dict[str, Any]:
    values = (action, reason, split, to, place.file, place.line, text, repaired_text)
    return dict(zip(_CHANGE_COLUMNS, map(safe_cell, values), strict=True))


def _cell(value: Any) -> Any:
    """Lists and dicts as JSON, everything else as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _write_folder(folder: Path, tables: Mapping[str, list[dict[str, Any]]]) -> None:
    """Write the tables as CSV files to a temporary folder in the same place, then rename it: complete or not there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"fix={folder}", found=str(error.strerror), expected="a place to write to", fix="choose another folder"
        ) from None
    try:
        for name, table in tables.items():
            header = list(dict.fromkeys(key for row in table for key in row)) or list(_CHANGE_COLUMNS)
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
            record.write_text(temporary / name, text.getvalue())
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
