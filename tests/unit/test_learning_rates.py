"""Learning rates are logged once an optimizer step, over however many micro-batches it is spread."""

from pathlib import Path

import lightning.pytorch as pl
import pytest

from lit_humor.callbacks.learning_rates import StepLearningRates
from lit_humor.callbacks.metrics_csv import MetricsCsv
from lit_humor.runs.record import read_metrics
from tests.unit.building import TRAINER, make_datamodule, make_learner

ROWS, GLOBAL_BATCH, EPOCHS = 44, 16, 2
STEPS = EPOCHS * -(-ROWS // GLOBAL_BATCH)


def _rates(tiny_model: str, folder: Path, micro_batch_size: int, every: int) -> dict[int, list[str]]:
    datamodule = make_datamodule(tiny_model, folder, global_batch_size=GLOBAL_BATCH, micro_batch_size=micro_batch_size)
    logger = MetricsCsv(str(folder))
    trainer = pl.Trainer(
        **TRAINER | {"logger": [logger]}, max_epochs=EPOCHS, accumulate_grad_batches=GLOBAL_BATCH // micro_batch_size,
        log_every_n_steps=every, callbacks=[StepLearningRates()],
    )  # fmt: skip
    trainer.fit(make_learner(datamodule), datamodule)
    assert trainer.global_step == STEPS
    logger.save()
    rows = [(int(row["step"]), [row[name] for name in row if name.startswith("lr-")]) for row in read_metrics(folder)]
    rows = [(step, rates) for step, rates in rows if any(rates)]
    assert len(rows) == len(dict(rows)), "one row for each of them"
    return dict(rows)


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("micro_batch_size", [16, 8, 4, 2, 1])
def test_one_row_for_each_optimizer_step(tiny_model: str, tmp_path: Path, micro_batch_size: int, every: int) -> None:
    whole = _rates(tiny_model, tmp_path / "whole", GLOBAL_BATCH, 1)
    assert list(whole) == list(range(STEPS))
    assert len({tuple(rates) for rates in whole.values()}) >= STEPS - 1, "the rate moves"
    found = _rates(tiny_model, tmp_path / "parts", micro_batch_size, every)
    assert found == {step: rates for step, rates in whole.items() if step in found}
    assert len(found) == STEPS // every
