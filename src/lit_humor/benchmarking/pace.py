"""Estimates how long a training takes, from a few of its steps.

``python -m lit_humor.benchmarking.pace FOLDER OVERRIDE...`` writes the result of ``measure_pace`` to FOLDER.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from lit_humor.benchmarking.raw_step import Setup, build, pick_global_batches
from lit_humor.core.batch import TEST, TRAIN, VAL
from lit_humor.core.errors import UserError
from lit_humor.engine.abilities import synchronise
from lit_humor.runs import record

_COUNT = 3  # optimizer steps, and batches of each split, evenly spaced from the shortest rows to the longest


def measure_pace(overrides: Sequence[str]) -> dict[str, float]:
    """Build a training on one device, and time a few steps and a few batches of evaluation.

    Args:
        overrides: Overrides of ``train.py``.

    Returns:
        ``epoch_seconds``, without the validation at its end; ``val_seconds`` and ``test_seconds`` of evaluating a
        split; ``max_epochs``; and ``measured_seconds`` of the measurement itself, without building.
    """
    setup = build([*overrides, "trainer.devices=1"])
    started = time.perf_counter()
    loader = setup.datamodule.train_dataloader()
    lengths = setup.datamodule.prepared[TRAIN].lengths
    rows = list(loader.batch_sampler)  # type: ignore[arg-type]
    is_enough = len(lengths) >= setup.plan.global_batch_size
    chosen = pick_global_batches(rows, lengths, setup.plan, _COUNT) if is_enough else [rows]
    global_batches = [[setup.take(loader.collate_fn(batch)) for batch in global_batch] for global_batch in chosen]
    optimizer = setup.build_optimizer()
    setup.step(optimizer, global_batches[-1])
    synchronise(setup.device)
    begun = time.perf_counter()
    for global_batch in global_batches:
        setup.step(optimizer, global_batch)
    synchronise(setup.device)
    step_seconds = (time.perf_counter() - begun) / len(global_batches)
    setup.learner.eval()
    datamodule = setup.datamodule
    val = _scoring_seconds(setup, datamodule.val_dataloader())
    test = _scoring_seconds(setup, datamodule.test_dataloader()) if TEST in datamodule.splits else 0.0
    steps, every = math.ceil(len(loader) / setup.plan.accumulation), setup.cfg.trainer.validate_every_steps
    return {
        "epoch_seconds": step_seconds * steps + (val * steps / every if every else 0.0),
        f"{VAL}_seconds": val,
        f"{TEST}_seconds": test,
        "max_epochs": setup.cfg.trainer.max_epochs,
        "measured_seconds": time.perf_counter() - started,
    }


def _scoring_seconds(setup: Setup, loader: DataLoader) -> float:
    """Return the seconds of evaluating a whole split."""
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
        result = measure_pace(sys.argv[2:])
    except UserError as error:
        sys.exit(str(error))
    record.write_json(Path(sys.argv[1]) / record.RESULT, result)
