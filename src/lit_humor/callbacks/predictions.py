"""Saves the predictions of all test rows: predictions/<split>.parquet, and vectors beside it as .npy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.runs import record
from lit_humor.tasks.task import columns_of


class PredictionWriter(pl.Callback):
    """Writes one row for each evaluated text, in the order of its file.

    Columns: ``id``, ``text``, ``text_pair``, ``answer`` and ``group`` where the data has them, those of the tasks
    (``label``, ``prediction``, ...), ``tokens`` (number of tokens that the model read), and the slice columns. Vectors
    of the rows are written to ``<split>.<name>.npy``, float32, in the same order.

    Args:
        run_dir: The folder to write to.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self._rows: list[np.ndarray] = []
        self._columns: list[dict[str, Any]] = []

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Keep the columns of the tasks for all rows except padding rows."""
        counts = batch["row_weights"] > 0
        if not counts.any():
            return
        kept, answers = ({k: v[counts].cpu() for k, v in tensors.items()} for tensors in (batch, outputs.outputs))
        self._rows.append(kept["rows"].numpy())
        self._columns.append(columns_of(pl_module.tasks, answers, kept))  # type: ignore[arg-type]

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather the rows of all processes, sort them in file order, and write."""
        parts = list(zip(self._rows, self._columns, strict=True))
        self._rows, self._columns = [], []
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, parts)
            parts = [part for process_parts in gathered for part in process_parts]
        if not trainer.is_global_zero:
            return
        order = np.concatenate([rows for rows, _ in parts]).argsort()
        answers = {name: _joined([columns[name] for _, columns in parts], order) for name in parts[0][1]}
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(datamodule, HumorDataModule)
        split = datamodule.test_split
        vectors = {name: v for name, v in answers.items() if isinstance(v, np.ndarray) and v.ndim > 1}
        for name, values in vectors.items():
            with record.replacing(record.vectors_path(self.run_dir, split, name)) as unfinished:
                _save(unfinished, values)
        table = _table(datamodule, {name: values for name, values in answers.items() if name not in vectors})
        with record.replacing(record.predictions_path(self.run_dir, split)) as unfinished:
            pq.write_table(table, unfinished)


def _save(path: Path, values: np.ndarray) -> None:
    with path.open("wb") as file:  # np.save would add an ending to the name
        np.save(file, values.astype(np.float32))


def _joined(parts: list[Any], order: np.ndarray) -> Any:
    """Join the parts of a column; arrays keep their dtype."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[order]
    values = [value for part in parts for value in part]
    return [values[row] for row in order]


def _table(datamodule: HumorDataModule, answers: dict[str, Any]) -> pa.Table:
    examples = datamodule.splits[datamodule.test_split]
    columns: dict[str, Any] = {
        "id": examples.ids,
        "text": examples.texts,
        **({} if examples.text_pairs is None else {"text_pair": examples.text_pairs}),
        **({} if examples.answers is None else {"answer": examples.answers.texts}),
        **answers,
        "tokens": datamodule.prepared[datamodule.test_split].lengths,
    }
    if examples.groups is not None:
        columns["group"] = examples.groups
    return pa.table(columns | dict(examples.slices))
