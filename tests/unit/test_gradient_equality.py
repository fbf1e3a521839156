"""The gradient of an optimizer step does not depend on how its rows are spread (traps 1 and "Loss")."""

import os
import tempfile
from pathlib import Path
from unittest import mock

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from lit_humor.data.batches.datamodule import HumorDataModule
from tests.unit.building import TRAINER, gradients, largest_difference, make_datamodule, make_learner

_GLOBAL_BATCH = 32  # 44 rows: a whole step of 32 and a last one of 12


class KeepGradients(pl.Callback):
    """Remembers the gradient of every optimizer step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Tensor]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: object) -> None:
        self.steps.append(gradients(pl_module))  # type: ignore[arg-type]


def _train(
    datamodule: HumorDataModule, accumulation: int, devices: int = 1, max_tokens: int | None = None
) -> list[dict[str, Tensor]]:
    keep = KeepGradients()
    trainer = pl.Trainer(
        **TRAINER,
        max_epochs=1,
        accumulate_grad_batches=accumulation,
        devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto",
        callbacks=[keep, SaveOnRankZero()],
    )
    with mock.patch.dict(os.environ):  # Lightning leaves a port there
        trainer.fit(make_learner(datamodule, max_tokens=max_tokens), datamodule)
    return keep.steps if devices == 1 else torch.load(os.environ["GRADIENTS"], weights_only=True)


class SaveOnRankZero(pl.Callback):
    """Hands the gradients from a forked process back through a file."""

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size > 1 and trainer.is_global_zero:
            keep = next(c for c in trainer.callbacks if isinstance(c, KeepGradients))  # type: ignore[attr-defined]
            torch.save(keep.steps, os.environ["GRADIENTS"])


@pytest.mark.parametrize(
    ("micro_batch_size", "accumulation", "devices", "max_tokens"),
    [
        (8, 4, 1, None),
        (5, 7, 1, None),
        (8, 2, 2, None),
        (16, 1, 2, None),
        (32, 1, 1, 100),
        (8, 4, 1, 60),
        (8, 2, 2, 60),
    ],
    ids=[
        "4x8",
        "unequal micro-batches",
        "2 processes x 2 x 8",
        "2 processes x 16",
        "passes of 100 tokens",
        "4x8 in passes of 60 tokens",
        "2 processes x 2 x 8 in passes of 60 tokens",
    ],
)
@pytest.mark.parametrize("grouped", [True, False], ids=["grouped", "shuffled"])
def test_same_gradient_for_every_split(
    tiny_model: str, tmp_path: Path, micro_batch_size: int, accumulation: int, devices: int, max_tokens: int | None,
    grouped: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("GRADIENTS", str(Path(tempfile.mkdtemp(dir=tmp_path)) / "steps.pt"))
    whole = make_datamodule(
        tiny_model, tmp_path, global_batch_size=_GLOBAL_BATCH, micro_batch_size=_GLOBAL_BATCH, length_grouped=grouped
    )
    parts = make_datamodule(
        tiny_model, tmp_path, global_batch_size=_GLOBAL_BATCH, micro_batch_size=micro_batch_size, length_grouped=grouped
    )
    expected, found = _train(whole, 1), _train(parts, accumulation, devices, max_tokens)
    assert len(expected) == len(found) == 2
    for one, other in zip(expected, found, strict=True):
        assert largest_difference(one, other) < 1e-5


def test_gradient_is_that_of_the_formula(tiny_model: str, tmp_path: Path) -> None:
    """Against the loss written out by hand, with weights and smoothing on."""
    datamodule = make_datamodule(tiny_model, tmp_path, global_batch_size=_GLOBAL_BATCH, micro_batch_size=8)
    found = _train(datamodule, 4)[0]
    learner = make_learner(datamodule)
    datamodule.setup()
    global_batch = datamodule._sampler("train", training=True).global_batches()[0]
    datamodule.micro_batch_size = _GLOBAL_BATCH
    batch = datamodule._loader("train", datamodule._sampler("train", training=True)).collate_fn(
        [int(r) for r in global_batch]
    )
    log_p = torch.log_softmax(learner.model(batch)["logits"], -1)
    counts = torch.from_numpy(datamodule.training_rows.class_counts).float()
    weights = counts.sum() / (2 * counts)
    targets = torch.nn.functional.one_hot(batch["labels"], 2) * 0.9 + 0.05
    loss = -(weights[batch["labels"]] * (targets * log_p).sum(-1)).sum() / _GLOBAL_BATCH
    loss.backward()
    assert largest_difference(gradients(learner), found) < 1e-5
