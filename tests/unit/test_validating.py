"""After which optimizer steps a training is validated, and that it trains as without."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from lit_humor.callbacks.early_stopping import EarlyStoppingAfterWarmup
from lit_humor.callbacks.step_seeds import StepSeeds
from lit_humor.engine.checkpoints import read_checkpoint
from lit_humor.engine.validating import validate_every
from tests.unit.building import TRAINER, make_datamodule, make_learner

AT_END = [6, 12]  # 44 rows in steps of 8, the last one of 4: one micro-batch of 4 rows instead of two


class _Seen(pl.Callback):
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.rows: list[list[int]] = []
        self.scores: list[float] = []
        self.weights: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: Any, learner: Any, outputs: Any, batch: Any, *rest: Any) -> None:
        self.losses.append(outputs["loss"].item())
        self.rows.append(batch["rows"].tolist())

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert learner.results["val"]["rows"] == 21  # type: ignore[index]
        self.steps.append(trainer.global_step)
        self.scores.append(learner.results["val"]["loss"])  # type: ignore[index]
        self.weights.append(learner.model.head.weight.detach().clone())  # type: ignore[union-attr,operator]


def _fit(
    tiny_model: str, folder: Path, every: int | None, accumulation: int, *more: pl.Callback, **options: Any
) -> Any:
    datamodule = make_datamodule(tiny_model, folder, global_batch_size=8, micro_batch_size=8 // accumulation)
    seen = _Seen()
    trainer = pl.Trainer(
        **TRAINER | {"enable_checkpointing": any(isinstance(one, ModelCheckpoint) for one in more)},
        max_epochs=2,
        accumulate_grad_batches=accumulation,
        callbacks=[StepSeeds(1), seen, *more],
    )
    validate_every(trainer, every)
    trainer.fit(make_learner(datamodule, dropout=0.3, **options), datamodule)
    return seen


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(
    ("every", "steps"), [(None, AT_END), (4, [4, 6, 8, 12]), (5, [5, 6, 10, 12]), (6, AT_END), (100, AT_END)]
)
def test_steps_of_the_run_are_validated_and_the_training_is_the_same(
    tiny_model: str, tmp_path: Path, every: int | None, steps: list[int], accumulation: int
) -> None:
    found = _fit(tiny_model, tmp_path, every, accumulation)
    assert found.steps == steps
    if every:
        without = _fit(tiny_model, tmp_path, None, accumulation)
        assert found.losses == without.losses
        assert found.rows == without.rows
        assert len(found.losses) == (12 if accumulation == 1 else 22)


def test_the_best_is_saved_right_after_its_validation(tiny_model: str, tmp_path: Path) -> None:
    """The largest loss is that of a validation within an epoch, where there are such."""
    for every in (None, 2):
        folder = tmp_path / str(every)
        best = ModelCheckpoint(folder, filename="best", monitor="val/loss", mode="max", enable_version_counter=False)
        found = _fit(tiny_model, tmp_path, every, 2, best)
        saved, place = read_checkpoint(folder / "best.ckpt"), found.scores.index(max(found.scores))
        assert saved["global_step"] == found.steps[place]
        assert (found.steps[place] in AT_END) == (every is None)
        assert torch.equal(saved["state_dict"]["model.head.weight"], found.weights[place])


def test_patience_counts_validations(tiny_model: str, tmp_path: Path) -> None:
    stopping = EarlyStoppingAfterWarmup("val/loss", "min", patience=2, min_delta=1e9)
    found = _fit(tiny_model, tmp_path, 1, 2, stopping)
    assert found.steps == [1, 2, 3], "the first is the best, as the warm-up has one step"
    assert len(found.losses) == 6, "in the middle of the first epoch"
