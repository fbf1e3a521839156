"""Averaged weights are what is validated and saved; the training goes on with its own."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor

from lit_humor.callbacks.ema import EMA, averaging
from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from tests.unit.building import TRAINER, make_datamodule, make_learner
from tests.unit.comparing import tiny_classifier


def _weights(learner: pl.LightningModule) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in learner.state_dict().items()}


class Watch(pl.Callback):
    """Remembers the weights after each step, and those that are validated."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []
        self.validated: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        self.steps.append(_weights(pl_module))

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        self.validated.append(_weights(pl_module))


def _train(folder: Path, datamodule: Any, *callbacks: pl.Callback, resume: Path | None = None, **model: Any) -> Any:
    watch = Watch()
    settings = TRAINER | {"enable_checkpointing": True}
    saving = ModelCheckpoint(folder, "{epoch}", save_top_k=-1)
    trainer = pl.Trainer(**settings, max_epochs=2, callbacks=[*callbacks, watch, saving])
    network = tiny_classifier(model["tiny_model"], embeddings="used", saved_embeddings=model.get("saved", "all"))
    network.prepare(
        TrainingRows(datamodule.training_rows.class_counts, used_tokens=datamodule.training_rows.used_tokens)
    )
    learner = make_learner(datamodule, network, learning_rate=1e-2)
    trainer.fit(learner, datamodule, ckpt_path=resume, weights_only=True)
    return watch, learner


@pytest.mark.parametrize("saved", ["all", "trained"])
def test_the_average_is_the_formula_and_training_does_not_see_it(tiny_model: str, tmp_path: Path, saved: str) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path)
    plain, _ = _train(tmp_path / "plain", datamodule, tiny_model=tiny_model, saved=saved)
    watch, learner = _train(tmp_path / "ema", datamodule, averaging(0.6), tiny_model=tiny_model, saved=saved)
    assert len(watch.steps) == len(plain.steps) == 12
    average = watch.steps[0]
    averages = [average]
    for count, step in enumerate(watch.steps[1:], start=1):
        decay = min(0.6, (1 + count) / (10 + count))
        average = {
            name: decay * average[name] + (1 - decay) * value if value.is_floating_point() else value
            for name, value in step.items()
        }
        averages.append(average)
    for one, other in zip(watch.steps, plain.steps, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one), "as without it"
    for epoch, end in ((0, 5), (1, 11)):
        file = torch.load(tmp_path / "ema" / f"epoch={epoch}.ckpt", weights_only=True)
        of_epoch = watch.validated[epoch * 6]
        for name, value in averages[end].items():
            torch.testing.assert_close(file["state_dict"][name], value, msg=name)
            assert torch.equal(file["state_dict"][name], of_epoch[name]), "what is validated is what is saved"
            assert torch.equal(file["current_model_state"][name], watch.steps[end][name])
    moved = [name for name in averages[11] if not torch.equal(averages[11][name], watch.steps[11][name])]
    assert len(moved) > 20
    for name, value in learner.state_dict().items():
        torch.testing.assert_close(value, averages[11][name]), "without a best checkpoint the average is scored"


def test_a_resumed_run_is_the_same(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path)
    _train(tmp_path / "whole", datamodule, EMA(0.6), tiny_model=tiny_model)
    other = make_datamodule(tiny_model, tmp_path)
    _train(tmp_path / "half", other, EMA(0.6), tiny_model=tiny_model, resume=tmp_path / "whole" / "epoch=0.ckpt")
    first, second = (torch.load(tmp_path / name / "epoch=1.ckpt", weights_only=True) for name in ("whole", "half"))
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert first[part].keys() == second[part].keys()
        assert all(torch.equal(value, second[part][name]) for name, value in first[part].items()), part


def test_off_it_is_no_callback_at_all() -> None:
    off = averaging(None)
    assert type(off) is pl.Callback
    assert off.state_dict() == {}


def test_what_cannot_be_is_refused() -> None:
    for decay in (0.0, 1.0, -1.0):
        with pytest.raises(UserError, match=r"callbacks\.ema\.decay: found .*set callbacks\.ema\.decay=0\.99"):
            averaging(decay)
    trainer = type("Trainer", (), {"strategy": ModelParallelStrategy()})()
    with pytest.raises(UserError, match=r"trainer\.strategy: found fsdp.*set trainer\.strategy=ddp"):
        EMA(0.9).setup(trainer, pl.LightningModule(), "fit")
