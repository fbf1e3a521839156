"""Saves checkpoints during an epoch."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from lit_humor.callbacks.agreement import Agreement, is_step_end
from lit_humor.core.durations import parse_duration
from lit_humor.core.errors import UserError
from lit_humor.runs import record


class PeriodicCheckpoint(Checkpoint):
    """Saves ``step-<n>.ckpt`` at regular intervals, at the end of an optimizer step; keeps the last few.

    After a step that is validated it saves when the validation is over. Lightning calls a ``Checkpoint`` after all
    other callbacks, so the file holds what these have counted.

    Args:
        run_dir: The run folder.
        every: Number of optimizer steps, or a time such as ``10min`` (a few seconds more with several processes); None:
            never.
        keep: Number of checkpoints to keep.

    Raises:
        UserError: ``every`` is neither, or ``keep`` is below 1.
    """

    def __init__(self, run_dir: str, every: int | str | None, keep: int = 1) -> None:
        self.folder, self.keep = Path(run_dir) / record.CHECKPOINTS, keep
        self.steps, self.seconds = _parse(every)
        if keep < 1:
            raise UserError("trainer.keep", found=str(keep), expected="1 or more", fix="set trainer.keep=1")
        self._saved_at = 0.0
        self._agreement = Agreement()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._saved_at = time.monotonic()
        self._agreement.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Save if it is time, in all processes at the same step."""
        self._save_if_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if it is time, after a validation in the middle of an epoch."""
        self._save_if_due(trainer, validated=True)

    def _save_if_due(self, trainer: pl.Trainer, validated: bool = False) -> None:
        if not (self.steps or self.seconds) or not is_step_end(trainer, validated):
            return
        is_due = bool(self.steps) and trainer.global_step % self.steps == 0
        if self.seconds:
            is_due = bool(self._agreement.ask(trainer, int(time.monotonic() - self._saved_at >= self.seconds)))
        if is_due:
            self._saved_at = time.monotonic()
            trainer.save_checkpoint(self.folder / f"step-{trainer.global_step}.ckpt")
            if trainer.is_global_zero:
                for path in _oldest_first(self.folder, trainer.global_step)[: -self.keep]:
                    trainer.strategy.remove_checkpoint(path)


def _oldest_first(folder: Path, step: int) -> list[Path]:
    """Sort the checkpoints of this callback by the step in their names, oldest first.

    Later steps than the current one come first: they belong to an abandoned part of the run. File times are not used,
    since copies of a folder do not keep them.
    """
    matches = {path: re.fullmatch(r"step-(\d+)\.ckpt", path.name) for path in folder.iterdir()}
    steps = {path: int(match[1]) for path, match in matches.items() if match}
    return sorted(steps, key=lambda path: (steps[path] <= step, steps[path]))


def _parse(every: int | str | None) -> tuple[int, float]:
    """Return steps and seconds; one of them, or both, are 0."""
    if every is None:
        return 0, 0.0
    if seconds := parse_duration(str(every)):
        return 0, seconds
    if str(every).isdigit() and int(every) > 0:
        return int(every), 0.0
    raise UserError(
        "trainer.checkpoint_every",
        found=str(every),
        expected="optimizer steps such as 500, or a time such as 10min",
        fix="set trainer.checkpoint_every=10min",
    )
