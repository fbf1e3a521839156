"""Whole trainings of the smallest model: determinism, checkpoints, resume, early stopping."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from lit_humor.callbacks.early_stopping import EarlyStoppingAfterWarmup
from lit_humor.callbacks.interruption import Interruption, signals
from lit_humor.callbacks.step_seeds import StepSeeds
from lit_humor.core.errors import InterruptedRun, NonFiniteStepError
from lit_humor.core.seeds import derive_seed
from lit_humor.models.encoder import TextClassifier
from lit_humor.runs import record
from tests.unit.building import TRAINER, make_datamodule, make_examples, make_learner


def _train(tiny_model: str, folder: Path, *callbacks: pl.Callback, **options: object) -> pl.Trainer:
    loading = {"seed": options.pop("seed", 1), "num_workers": options.pop("num_workers", 0)}
    datamodule = make_datamodule(tiny_model, folder, global_batch_size=16, micro_batch_size=8, **loading)
    learner = options.pop("learner", None) or make_learner(datamodule, dropout=options.pop("dropout", 0.0))
    trainer = pl.Trainer(
        **(TRAINER | {"enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks)}),
        max_epochs=options.pop("max_epochs", 3),
        accumulate_grad_batches=2,
        gradient_clip_val=1.0,
        callbacks=list(callbacks),
    )
    trainer.fit(learner, datamodule, **options)  # type: ignore[arg-type]
    return trainer


def _weights(trainer: pl.Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.lightning_module.parameters()])


def test_same_seed_same_weights_other_seed_other_weights(tiny_model: str, tmp_path: Path) -> None:
    first, again, other = (_weights(_train(tiny_model, tmp_path, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other), "the seed must reach the order of rows"


def test_a_step_draws_from_its_own_seed_and_seeds_no_device_that_it_does_not_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seed_gpus = Mock()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seed_gpus)
    trainer = Mock(current_epoch=2, global_rank=1)
    StepSeeds(7).on_train_batch_start(trainer, Mock(device=torch.device("cpu")), None, 3)
    drawn = torch.rand(5)
    seed_gpus.assert_not_called()
    torch.manual_seed(derive_seed(7, "step", 2, 3, 1))
    assert torch.equal(drawn, torch.rand(5))


def test_training_and_validation_loss_are_one_loss(tiny_model: str, tmp_path: Path) -> None:
    """With equal rows and a rate of zero both report the same number."""
    datamodule = make_datamodule(tiny_model, tmp_path, global_batch_size=16, micro_batch_size=8)
    datamodule.load()
    datamodule.splits["val"] = datamodule.splits["train"]
    learner = make_learner(datamodule, learning_rate=1e-30)
    trainer = pl.Trainer(**TRAINER, max_epochs=1, accumulate_grad_batches=2)
    trainer.fit(learner, datamodule)
    seen = trainer.callback_metrics
    assert float(seen["train/loss"]) == pytest.approx(float(seen["val/loss"]), rel=1e-5)


def test_checkpoint_loads_with_weights_only_and_has_clean_names(tiny_model: str, tmp_path: Path) -> None:
    saver = ModelCheckpoint(dirpath=tmp_path / "checkpoints", filename="best", monitor="val/f1", mode="max")
    datamodule = make_datamodule(tiny_model, tmp_path)
    _train(
        tiny_model, tmp_path, saver, learner=make_learner(datamodule, TextClassifier(tiny_model, 2), learning_rate=1e-3)
    )
    checkpoint = torch.load(saver.best_model_path, weights_only=True)
    assert any(name.startswith("model.backbone.encoder.layer.0.") for name in checkpoint["state_dict"])
    assert not [name for name in checkpoint["state_dict"] if "_orig_mod" in name]
    assert "objective.class_weights" in checkpoint["state_dict"]


class _StopAt(Interruption):
    """Asks for a stop as Ctrl-C does, after a given number of batches."""

    def __init__(self, folder: Path, batch: int) -> None:
        super().__init__(str(folder))
        self.left = batch

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        self.left -= 1
        if self.left <= 0:
            signals.number = signal.SIGINT
        super().on_train_batch_end(trainer, *args)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    with signals.heard():
        yield


@pytest.fixture(scope="module")
def undisturbed(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> torch.Tensor:
    with signals.heard():
        return _weights(_train(tiny_model, tmp_path_factory.mktemp("undisturbed"), StepSeeds(1), dropout=0.3))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(("batch", "step"), [(1, 1), (4, 2), (6, 4), (9, 5)])
def test_interrupted_and_resumed_equals_undisturbed(
    tiny_model: str, undisturbed: torch.Tensor, tmp_path: Path, batch: int, step: int, num_workers: int
) -> None:
    """44 rows are 6 batches of 3 steps; a stop asked for at the end of an epoch comes a step later."""
    with pytest.raises(InterruptedRun):
        _train(tiny_model, tmp_path, StepSeeds(1), _StopAt(tmp_path, batch), num_workers=num_workers, dropout=0.3)
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == step
    resumed = _train(
        tiny_model,
        tmp_path,
        StepSeeds(1),
        ckpt_path=checkpoint,
        weights_only=True,
        num_workers=num_workers,
        dropout=0.3,
    )
    assert resumed.global_step == 9
    assert torch.equal(_weights(resumed), undisturbed)


class _AskAt(pl.Callback):
    """Leaves the file that stop.py leaves, after a given number of batches."""

    def __init__(self, request: Path, batch: int) -> None:
        self.request, self.left = request, batch

    def on_train_batch_end(self, trainer: pl.Trainer, *args: object) -> None:
        self.left -= 1
        if self.left == 0:
            self.request.touch()


@pytest.mark.parametrize(("batch", "step"), [(4, 2), (18, None)])
def test_a_request_in_the_folder_stops_the_run(tmp_path: Path, tiny_model: str, batch: int, step: int | None) -> None:
    """At the end of that step; where it comes in the last one, the run is finished all the same."""
    request = tmp_path / record.STOP_REQUEST
    request.touch()  # of an earlier part of the run
    with pytest.raises(InterruptedRun):
        _train(tiny_model, tmp_path, _AskAt(request, batch), Interruption(str(tmp_path), look_every_seconds=0))
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    assert checkpoint.is_file() is (step is not None)
    if step is not None:
        assert torch.load(checkpoint, weights_only=True)["global_step"] == step


class _Scores(pl.Callback):
    """Replaces val/f1 by given numbers."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("val/f1_given", self.scores[trainer.current_epoch])


@pytest.mark.parametrize(("warmup_steps", "epochs"), [(0, 3), (6, 4), (9, 5)])
def test_patience_counts_after_the_warmup(tiny_model: str, tmp_path: Path, warmup_steps: int, epochs: int) -> None:
    """3 steps an epoch; falling scores; patience 2: checks in the warm-up neither cost patience nor set the best."""
    datamodule = make_datamodule(tiny_model, tmp_path)
    learner = make_learner(datamodule)
    learner.optimizer.schedule.num_warmup_steps = lambda num_steps: warmup_steps
    scores = [0.9 - 0.1 * epoch for epoch in range(9)]
    stopper = EarlyStoppingAfterWarmup("val/f1_given", "max", patience=2)
    trainer = _train(tiny_model, tmp_path, _Scores(scores), stopper, learner=learner, max_epochs=9)
    assert trainer.current_epoch == epochs


def test_loss_that_is_not_finite_ends_the_run(tiny_model: str, tmp_path: Path) -> None:
    learner = make_learner(make_datamodule(tiny_model, tmp_path))
    with torch.no_grad():
        learner.model.head.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteStepError, match="in epoch 0, step 0"):
        _train(tiny_model, tmp_path, learner=learner)


class _Poison(pl.Callback):
    """Makes the weights nan in the middle of the first epoch."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: object) -> None:
        if trainer.global_step == 2:
            with torch.no_grad():
                pl_module.model.head.weight.fill_(float("nan"))


def test_loss_that_is_not_finite_once_ends_the_run_in_that_step(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteStepError, match="in epoch 0, step 2"):
        _train(tiny_model, tmp_path, _Poison())


def test_learns_what_is_there_to_learn(tiny_model: str, tmp_path: Path) -> None:
    """The word "ha" gives the label away; a bag of tokens must find it."""
    splits = {"train": make_examples(400), "val": make_examples(100, seed=1)}
    datamodule = make_datamodule(tiny_model, tmp_path, splits=splits, global_batch_size=16, micro_batch_size=16)
    trainer = pl.Trainer(**TRAINER, max_epochs=15)
    trainer.fit(make_learner(datamodule), datamodule)
    assert float(trainer.callback_metrics["val/f1"]) > 0.9


def test_fingerprint_changes_with_order_and_labels(tiny_model: str, tmp_path: Path) -> None:
    examples, val = make_examples(20), make_examples(6, seed=1)
    relabelled = replace(examples, labels=1 - examples.labels)
    found = {
        make_datamodule(tiny_model, tmp_path, splits={"train": train, "val": val}).report()["fingerprint"]
        for train in (examples, examples, examples.take(range(19, -1, -1)), examples.take(range(19)), relabelled)
    }
    assert len(found) == 4
