"""Saves the confusion matrix of the last validation of each epoch: confusion/val_epoch<k>.json and .png, to loggers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from lit_humor.runs import record
from lit_humor.tasks.reports.classification.figures import CONFUSION_INCHES, paint_confusion


class ConfusionWriter(pl.Callback):
    """Writes the counts, one row for each true class, and a picture of them if matplotlib is installed.

    Args:
        run_dir: The run folder.
    """

    def __init__(self, run_dir: str) -> None:
        self.folder = Path(run_dir) / record.CONFUSION

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the matrix; a later validation of the epoch takes its place."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        results: Any = pl_module.results["val"]  # type: ignore[index]
        if "confusion" not in results:  # no task with classes
            return
        names, counts = list(results["classes"]), results["confusion"]
        path = self.folder / f"val_epoch{trainer.current_epoch}.json"
        record.write_json(path, {"classes": names, "counts": counts})
        try:
            from matplotlib.figure import Figure
            from matplotlib.image import imread
        except ImportError:
            return
        figure = Figure(figsize=CONFUSION_INCHES, layout="constrained")
        paint_confusion(figure, np.asarray(counts), names)
        picture = path.with_suffix(".png")
        with record.replacing(picture) as unfinished:
            figure.savefig(unfinished, format="png", dpi=80)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                pixels = imread(picture)
                logger.experiment.add_image("confusion/val", pixels, trainer.global_step, dataformats="HWC")
            elif isinstance(logger, WandbLogger):
                logger.log_image("confusion/val", [str(picture)])
