"""Shows a training on the terminal: a progress bar for the epoch, and a line for each validation and finished epoch."""

from __future__ import annotations

import logging
import math
import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_LOG = logging.getLogger("lit_humor.screen")


class EpochProgress(ProgressBar):
    """Shows loss, learning rate, samples per second and the monitored score, and one line for each validation.

    Args:
        every_seconds: Time between two updates of the bar.
        monitor: The score to show, also its best value; None takes the one of the best checkpoint.
        mode: Whether high (``max``) or low (``min``) scores are better.
    """

    def __init__(self, every_seconds: float = 0.25, monitor: str | None = None, mode: str = "max") -> None:
        super().__init__()
        self.every_seconds, self.monitor, self.mode = every_seconds, monitor, mode
        self.console = Console()
        self._progress: Progress | None = None
        self._enabled = True
        self._best = float("nan")
        self._drawn_at = self._epoch_started_at = 0.0
        self._rows, self._told_step = 0, -1

    def disable(self) -> None:
        """Show nothing, as in all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show again."""
        self._enabled = True

    def print(self, line: str, **style: Any) -> None:
        """Print a line above the bar, and write it to log.txt."""
        if self._enabled:
            self.console.print(line, highlight=False, **style)
            _LOG.info(line)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the column titles; for an epoch that is resumed in the middle this is the only call at its start."""
        best = getattr(trainer.checkpoint_callback, "best_model_score", None)
        self._best = float("nan") if best is None else float(best)
        self.monitor = self.monitor or getattr(trainer.checkpoint_callback, "monitor", None)
        self.print("".join(f"{name:>{width}}" for name, width, _ in self._cells(trainer, pl_module)), style="bold")
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar of an epoch."""
        self._epoch_started_at, self._rows = time.monotonic(), 0
        self._start(f"epoch {trainer.current_epoch}", int(trainer.num_training_batches))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the bar, a few times a second."""
        self._rows += len(batch["rows"]) * trainer.world_size
        now = time.monotonic()
        if self._progress is None or now - self._drawn_at < self.every_seconds:
            return
        self._drawn_at = now
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        pace = self._rows / (now - self._epoch_started_at)
        loss = float(pl_module.step.last_loss)  # type: ignore[union-attr,arg-type]
        score = trainer.callback_metrics.get(self.monitor or "")
        numbers = f"loss {loss:.3f}  lr {rate:.1e}  {pace:.0f} samples/s"
        numbers += "" if score is None else f"  {self.monitor} {score:.3f}"
        self._progress.update(self._progress.task_ids[0], completed=batch_idx + 1, numbers=numbers)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the best value; print a line in the middle of an epoch."""
        if not trainer.sanity_checking:
            score = float(trainer.callback_metrics.get(self.monitor or "", float("nan")))
            is_better = score > self._best if self.mode == "max" else score < self._best
            self._best = score if is_better or math.isnan(self._best) else self._best
            if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
                self._tell(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the epoch."""
        self._stop()
        self._tell(trainer, pl_module)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar of an evaluation."""
        self._start("evaluate", int(sum(trainer.num_test_batches)))

    def on_test_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Update the bar."""
        if self._progress is not None:
            self._progress.advance(self._progress.task_ids[0])

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove the bar."""
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Remove the bar before the error message."""
        self._stop()

    def _tell(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step != self._told_step:  # an epoch may stop early, right after a validation
            self._told_step = trainer.global_step
            self.print("".join(f"{value:>{width}}" for _, width, value in self._cells(trainer, pl_module)))

    def _cells(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> list[tuple[str, int, str]]:
        """Return title, width and value of each column."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        tasks: Any = pl_module.tasks
        curves = {f"val/{name}": f"val/{heading}" for task in tasks.values() for name, heading in task.curves.items()}
        names = {"train/loss": "train/loss", "val/loss": "val/loss", **curves}
        numbers = [(heading, metrics.get(name, float("nan"))) for name, heading in names.items()]
        numbers.append(("best", self._best))
        return [
            ("epoch", 6, str(trainer.current_epoch)),
            ("step", 8, str(trainer.global_step)),
            *((heading, max(len(heading), 6) + 2, short(value)) for heading, value in numbers),
            ("seconds", 9, f"{time.monotonic() - self._epoch_started_at:.1f}"),
        ]

    def _start(self, name: str, total: int) -> None:
        self._stop()
        if not (self._enabled and sys.stdout.isatty()):
            return
        self._progress = Progress(
            TextColumn(name),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=self.console,
            transient=True,
        )
        self._progress.add_task(name, total=total, numbers="")
        self._progress.start()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def short(value: float) -> str:
    """Return a number in at most seven characters, from -999 to 999,999."""
    digits = 4 if abs(value) < 100 else 2 if abs(value) < 1000 else 0
    return f"{value:.{digits}f}"
