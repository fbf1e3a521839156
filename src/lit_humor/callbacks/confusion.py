"""Keeps the confusion matrix of every validation: confusion/val_epoch<k>.json."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl

from lit_humor.runs import record


class ConfusionWriter(pl.Callback):
    """Writes counts, a row for each true class.

    Args:
        run_dir: The run folder.
    """

    def __init__(self, run_dir: str) -> None:
        self.folder = Path(run_dir) / record.CONFUSION

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the matrix of this epoch."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        results = pl_module.results["val"]  # type: ignore[index]
        record.write_json(
            self.folder / f"val_epoch{trainer.current_epoch}.json",
            {"classes": list(results["classes"]), "counts": results["confusion"]},  # type: ignore[index]
        )
