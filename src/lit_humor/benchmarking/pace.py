"""How long a training will take, told from a few of its steps.

``python -m lit_humor.benchmarking.pace FOLDER OVERRIDE...`` leaves what ``measure_pace`` returns in FOLDER.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from lit_humor.benchmarking.raw_step import Setup, build, pick_windows, synchronise
from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.runs import record

_COUNT = 3  # optimizer steps, and batches of each split, evenly spaced from the shortest rows to the longest


def measure_pace(overrides: Sequence[str]) -> dict[str, float]:
    """Build a training, time some steps and some batches of scoring; on one device.

    Args:
        overrides: Of ``train.py``.

    Returns:
        ``epoch_seconds``; ``val_seconds`` and ``test_seconds`` of scoring a split; ``max_epochs``; ``measured_seconds``
        that all this took once everything was built.
    """
    setup = build([*overrides, "trainer.devices=1"])
    started = time.perf_counter()
    loader = setup.datamodule.train_dataloader()
    lengths = setup.datamodule.prepared[TRAIN].lengths
    rows = list(loader.batch_sampler)  # type: ignore[arg-type]
    windows = pick_windows(rows, lengths, setup.plan, _COUNT) if len(lengths) >= setup.plan.window_size else [rows]
    batches = [[setup.take(loader.collate_fn(one)) for one in window] for window in windows]
    optimizer = setup.build_optimizer()
    setup.step(optimizer, batches[-1])
    synchronise(setup.device)
    begun = time.perf_counter()
    for window in batches:
        setup.step(optimizer, window)
    synchronise(setup.device)
    step_seconds = (time.perf_counter() - begun) / len(batches)
    setup.learner.eval()
    datamodule = setup.datamodule
    val = _scoring_seconds(setup, datamodule.val_dataloader())
    test = _scoring_seconds(setup, datamodule.test_dataloader()) if TEST in datamodule.splits else 0.0
    return {
        "epoch_seconds": step_seconds * math.ceil(len(loader) / setup.plan.accumulation),
        f"{VAL}_seconds": val,
        f"{TEST}_seconds": test,
        "max_epochs": setup.cfg.trainer.max_epochs,
        "measured_seconds": time.perf_counter() - started,
    }


def _scoring_seconds(setup: Setup, loader: DataLoader) -> float:
    """Of a whole split."""
    rows = list(loader.batch_sampler)  # type: ignore[arg-type]
    chosen = [rows[int((index + 0.5) * len(rows) / _COUNT)] for index in range(min(_COUNT, len(rows)))]
    begun = time.perf_counter()
    with torch.inference_mode(), setup.autocast():
        for batch in chosen:
            setup.learner.model(setup.take(loader.collate_fn(batch)))
    synchronise(setup.device)
    return (time.perf_counter() - begun) * len(rows) / len(chosen)


if __name__ == "__main__":
    try:
        found = measure_pace(sys.argv[2:])
    except UserError as error:
        sys.exit(str(error))
    record.write_json(Path(sys.argv[1]) / record.RESULT, found)
