"""Losses whose rows need one another: the gradient is that of the whole step, whatever memory and processes."""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_humor.core.batch import chunks
from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.learning.step import OptimizerStep
from lit_humor.models.texts import TextBatch
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared
from tests.unit.building import TRAINER, BagOfTokens, largest_difference, make_datamodule, make_learner
from tests.unit.test_gradient_equality import KeepGradients, SaveOnRankZero

_ROWS = 16
_SIZES = (1, 3, 5, 8)


class Views(BagOfTokens):
    """Two views [B, 2, 8] of each row, which differ by dropout and a projection; runs out of memory where asked to."""

    most = 10**9

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(dropout=dropout)
        self.project = nn.Linear(8, 8)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if batch["input_ids"].numel() > self.most:
            raise torch.OutOfMemoryError("planted")
        outputs = super().forward(batch)
        views = (self.dropout(outputs["embeddings"]), self.project(self.dropout(outputs["embeddings"])))
        return {**outputs, "views": torch.stack(views, dim=1)}


class Contrast(Objective):
    """InfoNCE between the views of all rows of the step, and cross-entropy, which needs the row alone."""

    def shared(self, model: Model, batch: Mapping[str, Tensor]) -> Tensor:
        return F.normalize(model(batch)["views"], dim=-1)

    def coupled(self, shared: Shared, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        queries, keys = shared.values.unbind(dim=1)
        return {"contrast": F.cross_entropy(queries[shared.own] @ keys.T / 0.1, shared.own, reduction="none")}

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        shared = shared or Shared.of_batch(self.shared(model, batch), batch["row_weights"])
        logits = model(batch)["logits"]
        own = F.cross_entropy(logits, batch["labels"], reduction="none")
        return Outcome({**self.coupled(shared, batch), "label": own}, {"probabilities": logits.float().softmax(dim=-1)})


class Tokens(Objective):
    """A loss of tokens, whose number differs from row to row."""

    mean_target_tokens = 1.0

    def prepare(self, training: TrainingRows) -> None:
        assert training.mean_target_tokens is not None
        self.mean_target_tokens = training.mean_target_tokens

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        nll = F.cross_entropy(model(batch)["logits"], batch["labels"], reduction="none")
        return Outcome({"tokens": nll * batch["attention_mask"].sum(dim=1) / self.mean_target_tokens})


def _batch() -> TextBatch:
    generator = torch.Generator().manual_seed(5)
    width = 6
    return {
        "input_ids": torch.randint(700, (_ROWS, width), generator=generator),
        "attention_mask": (torch.arange(width) < torch.randint(1, width + 1, (_ROWS, 1), generator=generator)).long(),
        "labels": torch.randint(2, (_ROWS,), generator=generator),
        "row_weights": (torch.arange(_ROWS) != 6).float(),  # one of the rows is a padding row
        "rows": torch.arange(_ROWS),
        "slices": torch.zeros(_ROWS, 0, dtype=torch.int64),
    }


def _model(dropout: float = 0.0) -> Views:
    torch.manual_seed(1)
    return Views(dropout)


def _gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


def _gradients_of_step(model: Views, objective: Objective, size: int | None) -> dict[str, Tensor]:
    batch = _batch()
    max_tokens = None if size is None else size * batch["input_ids"].shape[1]
    step = OptimizerStep(model, objective, _ROWS, max_tokens)
    torch.manual_seed(3)
    step.backward(step.loss(batch))
    return _gradients(model)


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("objective", [Contrast(), Tokens()], ids=["rows need one another", "tokens"])
def test_chunks_give_the_gradient_of_the_whole(size: int, objective: Objective) -> None:
    objective.prepare(TrainingRows(torch.ones(2).numpy(), mean_target_tokens=3.4))
    whole = _gradients_of_step(_model(), objective, None)
    assert largest_difference(whole, _gradients_of_step(_model(), objective, size)) < 1e-6


def test_the_whole_is_not_the_sum_of_chunks_on_their_own() -> None:
    """What plain accumulation would give."""
    model, batch = _model(), _batch()
    whole = _gradients_of_step(_model(), Contrast(), None)
    for chunk in chunks(batch, 8 * 6):
        ((Contrast()(model, chunk).total * chunk["row_weights"]).sum() / _ROWS).backward()
    assert largest_difference(whole, _gradients(model)) > 0.1


@pytest.mark.parametrize("size", _SIZES)
def test_chunks_draw_the_same_dropout_in_both_passes(size: int) -> None:
    """Against one graph over all chunks, with the draws of the first pass."""
    found = _gradients_of_step(_model(0.3), Contrast(), size)
    model, objective, batch = _model(0.3), Contrast(), _batch()
    torch.manual_seed(3)
    values, losses = [], []
    for chunk in chunks(batch, size * 6):
        values.append(objective.shared(model, chunk))
        state = torch.get_rng_state()
        losses.append(F.cross_entropy(model(chunk)["logits"], chunk["labels"], reduction="none"))
        torch.set_rng_state(state)
    shared = Shared.of_batch(torch.cat(values), batch["row_weights"])
    total = objective.coupled(shared, batch)["contrast"] + torch.cat(losses)
    ((total * batch["row_weights"]).sum() / _ROWS).backward()
    assert largest_difference(_gradients(model), found) < 1e-6


def test_out_of_memory_changes_no_negatives() -> None:
    model = _model()
    model.most = 5 * 6
    found = _gradients_of_step(model, Contrast(), None)
    assert largest_difference(_gradients_of_step(_model(), Contrast(), None), found) < 1e-6


def _train(datamodule: HumorDataModule, accumulation: int, devices: int, max_tokens: int | None) -> list[dict]:
    keep = KeepGradients()
    trainer = pl.Trainer(
        **TRAINER, max_epochs=1, accumulate_grad_batches=accumulation, devices=devices,
        strategy="ddp_fork" if devices > 1 else "auto", callbacks=[keep, SaveOnRankZero()],
    )  # fmt: skip
    learner = make_learner(
        datamodule, _model().double(), objective=Contrast(), max_tokens=max_tokens, learning_rate=1e-30
    )
    with mock.patch.dict(os.environ):  # Lightning leaves a port there
        trainer.fit(learner, datamodule)
    return keep.steps if devices == 1 else torch.load(os.environ["GRADIENTS"], weights_only=True)


@pytest.mark.parametrize("max_tokens", [None, 100])
def test_negatives_come_from_all_processes(
    tiny_model: str, tmp_path: Path, max_tokens: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 rows a step, and 12 in the last, on one process and on two."""
    monkeypatch.setenv("GRADIENTS", str(tmp_path / "steps.pt"))
    one = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS)
    two = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS // 2)
    expected, found = _train(one, 1, 1, None), _train(two, 1, 2, max_tokens)
    assert len(expected) == len(found) == 3
    assert max(itertools.starmap(largest_difference, zip(expected, found, strict=True))) < 1e-6


def test_accumulation_is_refused_before_training(tiny_model: str, tmp_path: Path) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS // 2)
    with pytest.raises(UserError, match=r"trainer.accumulation: found 2, expected 1: .*Contrast.* Fix: set") as error:
        _train(datamodule, 2, 1, None)
    assert "trainer.max_tokens" in error.value.fix
