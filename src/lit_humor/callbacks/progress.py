"""The screen during training: a bar for the epoch, a line for each finished one."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_LOG = logging.getLogger("lit_humor.screen")
_HEADER = " epoch    step  train/loss  val/loss  val/acc  val/f1    best  seconds"


class EpochProgress(ProgressBar):
    """Shows loss, learning rate, samples per second and validation F1, and one row an epoch.

    Args:
        every_seconds: Time between two updates of the bar.
    """

    def __init__(self, every_seconds: float = 0.25) -> None:
        super().__init__()
        self.every_seconds = every_seconds
        self.console = Console()
        self._progress: Progress | None = None
        self._enabled = True
        self._best = float("-inf")
        self._drawn_at = self._epoch_started_at = 0.0
        self._rows = 0

    def disable(self) -> None:
        """Show nothing (processes other than the first)."""
        self._enabled = False

    def enable(self) -> None:
        """Show again."""
        self._enabled = True

    def print(self, line: str, **style: Any) -> None:
        """Print a line above the bar and into log.txt."""
        if self._enabled:
            self.console.print(line, highlight=False, **style)
            _LOG.info(line)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the head of the table; an epoch that is resumed in the middle gets no other call at its start."""
        self._best = float(getattr(trainer.checkpoint_callback, "best_model_score", None) or "-inf")
        self.print(_HEADER, style="bold")
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar of an epoch."""
        self._epoch_started_at, self._rows = time.monotonic(), 0
        self._start(f"epoch {trainer.current_epoch}", int(trainer.num_training_batches))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar, a few times a second."""
        self._rows += len(batch["labels"]) * trainer.world_size
        now = time.monotonic()
        if self._progress is None or now - self._drawn_at < self.every_seconds:
            return
        self._drawn_at = now
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        pace = self._rows / (now - self._epoch_started_at)
        loss = float(pl_module.last_loss)  # type: ignore[arg-type]
        f1 = trainer.callback_metrics.get("val/f1")
        told = f"loss {loss:.3f}  lr {rate:.1e}  {pace:.0f} samples/s" + (
            f"  val/f1 {f1:.3f}" if f1 is not None else ""
        )
        self._progress.update(self._progress.task_ids[0], completed=batch_idx + 1, told=told)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the best value."""
        if not trainer.sanity_checking:
            self._best = max(self._best, float(trainer.callback_metrics.get("val/f1", float("nan"))))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the row of the epoch."""
        self._stop()
        seen = {name: float(value) for name, value in trainer.callback_metrics.items()}
        missing = float("nan")
        self.print(
            f"{trainer.current_epoch:>6} {trainer.global_step:>7} {seen.get('train/loss', missing):>11.4f} "
            f"{seen.get('val/loss', missing):>9.4f} {seen.get('val/accuracy', missing):>8.4f} "
            f"{seen.get('val/f1', missing):>7.4f} {self._best:>7.4f} {time.monotonic() - self._epoch_started_at:>8.1f}"
        )

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar of an evaluation."""
        self._start("evaluate", int(sum(trainer.num_test_batches)))

    def on_test_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.advance(self._progress.task_ids[0])

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar, so that the message stands alone."""
        self._stop()

    def _start(self, name: str, total: int) -> None:
        self._stop()
        if not (self._enabled and sys.stdout.isatty()):
            return
        self._progress = Progress(
            TextColumn(name),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=self.console,
            transient=True,
        )
        self._progress.add_task(name, total=total, told="")
        self._progress.start()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
