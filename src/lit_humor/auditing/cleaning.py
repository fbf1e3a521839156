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

from lit_humor.auditing.mending import Mended, mend
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
    """What becomes of a row.

    Attributes:
        split: Where it goes; None drops it.
        reason: Why it changes; empty for a row that stays where it is.
    """

    split: str | None
    reason: str = ""


def decide(
    rows: Rows, duplicates: Sequence[Sequence[int]], related: np.ndarray, empty: Collection[int] = ()
) -> list[Decision]:
    """Decide on every row.

    Related rows go together into the split that holds most of them (of equals the first); of equal texts the first in
    that split stays; equal texts with different labels go, as nobody but a reader knows which label is right.

    Args:
        rows: All rows.
        duplicates: Groups of equal texts.
        related: [N] the same number for rows that are nearly equal or of one group.
        empty: Rows of which nothing is left when they are mended.
    """
    counts: dict[int, Counter[str]] = {}
    for row, cluster in enumerate(related.tolist()):
        counts.setdefault(cluster, Counter())[rows.splits[row]] += 1
    homes = {c: max(SPLITS, key=lambda split: (n[split], -SPLITS.index(split))) for c, n in counts.items()}
    found = []
    for row, cluster in enumerate(related.tolist()):
        stays = rows.splits[row] == homes[cluster]
        found.append(Decision(homes[cluster], "" if stays else "related to rows of that split"))
    for group in duplicates:
        if len({int(rows.labels[row]) for row in group}) > 1:
            for row in group:
                found[row] = Decision(None, "equal texts with different labels")
        else:
            kept = min(group, key=lambda row: (bool(found[row].reason), row))
            for row in set(group) - {kept}:
                found[row] = Decision(None, f"equal to {rows.places[kept]}")
    for row in empty:
        found[row] = Decision(None, "no text is left when it is mended")
    return found


def class_counts(rows: Rows, decisions: Sequence[Decision]) -> dict[str, list[tuple[int, int]]]:
    """Rows of each class before and after, by split."""
    found = {}
    for split in SPLITS:
        before = rows.labels[[name == split for name in rows.splits]]
        after = rows.labels[[decision.split == split for decision in decisions]]
        counts = [np.bincount(labels, minlength=len(rows.class_names)).tolist() for labels in (before, after)]
        if len(before):
            found[split] = list(zip(*counts, strict=True))
    return found


def check_is_new(folder: Path) -> None:
    """Refuse a folder that is there already: a clean copy never overwrites anything."""
    if folder.exists():
        found, fix = "something there already", f"set {typed('fix', str(free_path(folder)))}"
        raise UserError(f"fix={folder}", found=found, expected="a new folder", fix=fix)


def write_clean_copy(
    folder: Path,
    rows: Rows,
    decisions: Sequence[Decision],
    splits: Mapping[str, Examples],
    readings: Mapping[str, Reading],
    mended: Mended,
) -> Counter[str]:
    """Write ``<split>.csv`` with all columns of the data, and ``changes.csv``; the whole folder appears at once.

    Returns:
        How many rows were kept, moved and dropped; and how many of those that are left were mended.

    Raises:
        UserError: The folder is there already, or cannot be made.
    """
    check_is_new(folder)
    table_rows = [
        (reading, row)
        for examples in splits.values()
        for reading in (readings[examples.origin],)
        for row in reading.kept()
    ]
    written: dict[str, list[dict[str, Any]]] = {}
    homes = {examples.origin: split for split, examples in splits.items()}
    changes = [
        _change("dropped", f"found {problem.found}", homes.get(origin, ""), "", place, "")
        for origin, reading in readings.items()
        for place, problem in reading.rejected_places()
    ]
    done = Counter(dropped=len(changes), moved=0, kept=0, mended=0)
    for row, (decision, (reading, position)) in enumerate(zip(decisions, table_rows, strict=True)):
        action = "dropped" if decision.split is None else "moved" if decision.reason else "kept"
        done[action] += 1
        where = rows.splits[row], decision.split or "", rows.places[row], rows.texts[row]
        if action != "kept":
            changes.append(_change(action, decision.reason, *where))
        if decision.split is not None:
            cells = {
                name: _cell(column[position]) for name, column in reading.table.items() if name not in (LINE, FILE)
            }
            if mended.kinds[row]:
                done["mended"] += 1
                changes.append(_change("mended", ", ".join(mended.kinds[row]), *where, mended.rows.texts[row]))
                cells |= {name: mend(str(cells[name]))[0] for name in reading.text_columns if cells[name]}
            written.setdefault(decision.split, []).append(cells)
    _write_folder(folder, {f"{split}.csv": content for split, content in written.items()} | {CHANGES: changes})
    return done


def _change(action: str, reason: str, split: str, to: str, place: Place, text: str, mended: str = "") -> dict[str, Any]:
    values = (action, reason, split, to, place.file, place.line, text, mended)
    return dict(zip(_CHANGE_COLUMNS, map(safe_cell, values), strict=True))


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _write_folder(folder: Path, tables: Mapping[str, list[dict[str, Any]]]) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UserError(
            f"fix={folder}", found=str(error.strerror), expected="a place to write to", fix="choose another folder"
        ) from None
    try:
        for name, content in tables.items():
            header = list(dict.fromkeys(key for row in content for key in row)) or list(_CHANGE_COLUMNS)
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(content)
            record.write_text(temporary / name, text.getvalue())
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
