"""Reads a run folder once, without torch."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.parquet as pq

from lit_humor.core.batch import SPLITS
from lit_humor.core.errors import UserError
from lit_humor.core.settings import command_line, setting
from lit_humor.runs import record
from lit_humor.tasks.recorded import RecordedTasks
from lit_humor.tasks.reports.scored import ScoredRun


@dataclass(frozen=True, kw_only=True)
class Evidence(ScoredRun):
    """The contents of a run folder.

    Attributes:
        folder: The run folder.
        environment: ``environment.json``.
        data_report: ``data_report.json``.
        result: ``result.json``.
        config: ``config.yaml`` as text.
        epochs: One row of ``metrics.csv`` for each epoch, numbers by column.
        steps: Rows of ``metrics.csv`` with learning rates.
        tasks: The tasks of the run, with the monitored metric.
    """

    folder: Path
    environment: Mapping[str, Any]
    data_report: Mapping[str, Any]
    result: Mapping[str, Any]
    config: str
    epochs: list[dict[str, float]]
    steps: list[dict[str, float]]
    tasks: RecordedTasks

    def of_kind(self, kind: str) -> Self:
        """Return the run as its first task of a kind sees it; see ``of_task``."""
        return self.of_task(next(name for name, task in self.tasks.tasks.items() if task["kind"] == kind))


def read_run(folder: Path) -> Evidence:
    """Read a finished run.

    Raises:
        UserError: The run has no results yet.
    """
    if not (folder / record.RESULT).is_file() or not (folder / record.PREDICTIONS).is_dir():
        raise UserError(
            f"run={folder}",
            found="no results in that folder",
            expected="a run that is done",
            fix=f"go on with it: {command_line('train', setting('resume', str(folder)))}",
        )
    rows = [{name: float(value) for name, value in row.items() if value} for row in record.read_metrics(folder)]
    paths = {split: record.predictions_path(folder, split) for split in SPLITS}
    result, data_report = (record.read_json(folder / name) for name in (record.RESULT, record.DATA_REPORT))
    return Evidence(
        folder=folder,
        environment=record.read_json(folder / record.ENVIRONMENT),
        data_report=data_report,
        result=result,
        config=(folder / record.CONFIG).read_text(encoding="utf-8"),
        epochs=_merge_by_epoch(rows),
        steps=[row for row in rows if any(name.startswith("lr-") for name in row)],
        tasks=record.read_tasks(folder),
        predictions={split: _read_split(folder, split) for split, path in paths.items() if path.is_file()},
        results=result["results"],
        baselines=(result.get("baseline") or {}).get("results", {}),
        origins={split: counts["origin"] for split, counts in data_report["splits"].items()},
    )


def _read_split(folder: Path, split: str) -> dict[str, Any]:
    """Return the columns of a split; vectors that lie beside the file are arrays [N, D], read where they are used."""
    path = record.predictions_path(folder, split)
    columns: dict[str, Any] = pq.read_table(path).to_pydict()
    num_rows = len(columns["id"])
    for file in sorted(path.parent.glob(f"{split}.*.npy")):
        try:
            vectors = np.load(file, mmap_mode="r")
        except (ValueError, EOFError, OSError):
            raise _not_of_rows(folder, split, file, "no whole array of numbers", num_rows) from None
        if vectors.ndim != 2 or len(vectors) != num_rows:
            raise _not_of_rows(folder, split, file, f"an array of {' x '.join(map(str, vectors.shape))}", num_rows)
        columns[file.name.removeprefix(f"{split}.").removesuffix(".npy")] = vectors
    return columns


def _not_of_rows(folder: Path, split: str, file: Path, found: str, num_rows: int) -> UserError:
    scored = shlex.quote(str(folder / "eval" / f"own-{split}" / record.PREDICTIONS))
    again = command_line("eval", setting("run", str(folder)), setting("split", split))
    return UserError(
        str(file),
        found=found,
        expected=f"a vector for each of the {num_rows:,} rows of {split}.parquet",
        fix=f"write both again: {again} && cp {scored}/{split}.* {shlex.quote(str(file.parent))}",
    )


def _merge_by_epoch(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return one row for each epoch: its validation and its times, without the scores after training."""
    merged = {row["epoch"]: dict(row) for row in rows if "train/loss" in row}
    for row in rows:
        if any(name.startswith("time/") for name in row) and row["epoch"] in merged:
            merged[row["epoch"]].update(row)
    return [merged[epoch] for epoch in sorted(merged)]
