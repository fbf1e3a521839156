"""Trains several times and keeps the loss of every micro-batch: ``python -m tests.golden.child '[[<settings>], ...]'``.

All by one process that has imported torch; it makes copies of itself where a training takes two.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import lightning.pytorch as pl

from lit_humor import train
from tests.e2e import warm  # noqa: F401  # all that a training imports, before this process makes copies of itself
from tests.e2e.typed import free_port


class Losses(pl.Callback):
    """Writes the losses that ``training_step`` returned on the first process."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: pl.Trainer, learner: pl.LightningModule, outputs: Any, *rest: Any) -> None:
        self.losses.append(outputs["loss"].item())

    def on_fit_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            Path(trainer.default_root_dir, "losses.json").write_text(json.dumps(self.losses))


def train_once(settings: list[str]) -> None:
    fit = pl.Trainer.fit

    def fit_with_losses(trainer: pl.Trainer, *arguments: Any, **named: Any) -> None:
        trainer.callbacks.append(Losses())  # type: ignore[attr-defined]
        fit(trainer, *arguments, **named)

    with mock.patch.object(sys, "argv", ["train.py", *settings]), mock.patch.object(pl.Trainer, "fit", fit_with_losses):
        train.main()


def train_by_two(settings: list[str]) -> None:
    """As torchrun starts two processes, but without importing anything again."""
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    shared |= {"GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "golden"}
    copies = []
    for rank in "01":
        copies.append(os.fork())
        if copies[-1] == 0:
            os.environ |= shared | {
                "RANK": rank,
                "LOCAL_RANK": rank,
                "GROUP_RANK": "0",
                "TORCHELASTIC_RUN_ID": "golden",
            }
            code = 1
            try:
                train_once(settings)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
    if any([os.waitpid(copy, 0)[1] for copy in copies]):
        sys.exit(f"One of two processes failed: {settings}")


if __name__ == "__main__":
    trainings = json.loads(sys.argv[1])
    is_by_two = ["trainer.devices=2" in settings for settings in trainings]
    for settings in (one for one, by_two in zip(trainings, is_by_two, strict=True) if by_two):
        train_by_two(settings)  # first, while this process has no threads that a copy would lack
    for settings in (one for one, by_two in zip(trainings, is_by_two, strict=True) if not by_two):
        train_once(settings)
