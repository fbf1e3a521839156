"""Keeps what the model said of every test row: predictions/<split>.parquet."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.runs import record


class PredictionWriter(pl.Callback):
    """Writes one row for each evaluated text, in the order of its file.

    Columns: ``id``, ``text``, ``text_pair`` and ``group`` where the data has them, ``label``, ``prediction``,
    ``p_<class>`` for each class, ``tokens`` (that the model read), and the slice columns.

    Args:
        run_dir: The folder to write to.
    """

    def __init__(self, run_dir: str) -> None:
        self.run_dir = run_dir
        self._rows: list[torch.Tensor] = []
        self._probabilities: list[torch.Tensor] = []

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        """Keep the probabilities of the rows that count."""
        counts = batch["row_weights"] > 0
        self._rows.append(batch["rows"][counts].cpu())
        self._probabilities.append(outputs.outputs["probabilities"][counts].cpu())

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather from all processes, put into file order and write."""
        parts = [(torch.cat(self._rows), torch.cat(self._probabilities))]
        self._rows, self._probabilities = [], []
        if trainer.world_size > 1:
            gathered: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(gathered, parts[0])
            parts = gathered
        if not trainer.is_global_zero:
            return
        order = torch.cat([rows for rows, _ in parts])
        probabilities = torch.cat([values for _, values in parts])[order.argsort()]
        datamodule = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(datamodule, HumorDataModule)
        table = _table(datamodule, probabilities)
        with record.replacing(record.predictions_path(self.run_dir, datamodule.test_split)) as unfinished:
            pq.write_table(table, unfinished)


def _table(datamodule: HumorDataModule, probabilities: torch.Tensor) -> pa.Table:
    examples = datamodule.splits[datamodule.test_split]
    names = examples.class_names
    columns: dict[str, Any] = {
        "id": examples.ids,
        "text": examples.texts,
        **({} if examples.text_pairs is None else {"text_pair": examples.text_pairs}),
        "label": [names[index] for index in examples.labels],
        "prediction": [names[index] for index in probabilities.argmax(dim=1).tolist()],
    }
    columns |= {f"{record.PROBABILITY}{name}": probabilities[:, index].numpy() for index, name in enumerate(names)}
    columns["tokens"] = datamodule.tokens[datamodule.test_split].lengths
    if examples.groups is not None:
        columns["group"] = examples.groups
    return pa.table(columns | dict(examples.slices))
