"""The gradient of both losses is that of the whole step, in chunks, with dropout, and in two processes."""

import itertools
import os
from pathlib import Path
from typing import Any
from unittest import mock

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor

from lit_humor.core.batch import chunks, row_tokens
from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.preparing.pairs import PairPreparation
from lit_humor.learning.learner import Learner
from lit_humor.learning.step import OptimizerStep
from lit_humor.models.gritlm import GritLM
from lit_humor.objectives.contrastive import Contrastive
from lit_humor.objectives.joint import Joint
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.objectives.objective import Shared
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from lit_humor.tasks.embedding import Embedding
from tests.unit.building import TRAINER, largest_difference, make_datamodule
from tests.unit.pairing import KINDS, collate, make_models, make_network, prepare, random_pairs
from tests.unit.test_gradient_equality import KeepGradients, SaveOnRankZero

_ROWS = 16
_SIZES = (1, 3, 5, 16)
_MIXED: dict[str, Any] = {
    "embeds": [row % 4 != 3 for row in range(_ROWS)],
    "writes": [row % 3 != 2 for row in range(_ROWS)],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_models(tmp_path_factory.mktemp("models"))


def _joint(share: float = 0.0) -> Joint:
    objective = Joint(
        {"contrastive": Contrastive(0.1, share), "language_modeling": LanguageModeling()}, {"contrastive": 0.5}
    )
    objective.prepare(TrainingRows(torch.ones(2).numpy(), mean_target_tokens=4.0))
    return objective


def _batch(folder: str) -> dict[str, Tensor]:
    """Rows that embed, write or both, equal answers, a padding row."""
    batch = collate(prepare(folder, random_pairs(_ROWS, **_MIXED)))
    batch["row_weights"][6] = 0
    return batch


def _network(folder: str, dropout: float = 0.0) -> GritLM:
    return make_network(folder, attention_dropout=dropout, dropout=None if "qwen" in folder else dropout).train()


def _most(batch: dict[str, Tensor], size: int) -> int:
    return size * row_tokens(batch)  # type: ignore[arg-type]


def _gradients(network: GritLM) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def _of_step(network: GritLM, objective: Joint, batch: dict[str, Tensor], size: int | None) -> dict[str, Tensor]:
    step = OptimizerStep(network, objective, _ROWS, None if size is None else _most(batch, size))
    torch.manual_seed(3)
    step.backward(step.loss(batch))  # type: ignore[arg-type]
    return _gradients(network)


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("share", [0.0, 0.1], ids=["plain", "debiased"])
def test_chunks_give_the_gradient_of_the_whole(models: dict[str, str], size: int, share: float) -> None:
    folder = models["Qwen3"]
    batch = _batch(folder)
    assert len(chunks(batch, _most(batch, size))) == {1: 16, 3: 6, 5: 4, 16: 1}[size]  # type: ignore[arg-type]
    whole = _of_step(_network(folder), _joint(share), batch, None)
    assert largest_difference(whole, _of_step(_network(folder), _joint(share), batch, size)) < 1e-5


@pytest.mark.parametrize("kind", KINDS[1:])
def test_chunks_of_encoders_too(models: dict[str, str], kind: str) -> None:
    batch = _batch(models[kind])
    whole = _of_step(_network(models[kind]), _joint(), batch, None)
    found = _of_step(_network(models[kind]), _joint(), batch, 5)
    small = {name for name, value in whole.items() if value.abs().max() < 1e-6}  # biases of keys: 0 but for rounding
    assert len(small) < 3
    assert largest_difference(*({n: v for n, v in one.items() if n not in small} for one in (whole, found))) < 1e-4


def test_the_whole_is_not_the_sum_of_chunks_on_their_own(models: dict[str, str]) -> None:
    folder = models["Qwen3"]
    batch, network, objective = _batch(folder), _network(folder), _joint()
    whole = _of_step(_network(folder), objective, batch, None)
    for chunk in chunks(batch, _most(batch, 5)):  # type: ignore[arg-type]
        ((objective(network, chunk).total * chunk["row_weights"]).sum() / _ROWS).backward()
    assert largest_difference(whole, _gradients(network)) > 0.1


@pytest.mark.parametrize("size", _SIZES[:-1])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_draw_the_same_dropout_in_both_passes(models: dict[str, str], kind: str, size: int) -> None:
    """Against one graph over all chunks, with the draws of the first pass; the writing draws behind the embedding."""
    folder = models[kind]
    batch = _batch(folder)
    found = _of_step(_network(folder, 0.1), _joint(), batch, size)
    network, objective = _network(folder, 0.1), _joint()
    near, following = objective.parts["contrastive"], objective.parts["language_modeling"]
    torch.manual_seed(3)
    values, losses = [], []
    for chunk in chunks(batch, _most(batch, size)):  # type: ignore[arg-type]
        values.append(near.shared(network, chunk))  # type: ignore[arg-type]
        state = torch.get_rng_state()
        losses.append(following(network, chunk).total)
        torch.set_rng_state(state)
    marks = near.marks(batch)
    shared = Shared.of_batch(torch.cat(values), batch["row_weights"], marks)  # type: ignore[arg-type]
    total = 0.5 * near.coupled(shared, batch)["contrastive"] + torch.cat(losses)
    ((total * batch["row_weights"]).sum() / _ROWS).backward()
    expected = _gradients(network)
    still = _of_step(_network(folder), _joint(), batch, size)
    small = {name for name, value in expected.items() if value.abs().max() < 1e-6}
    assert largest_difference(*({n: v for n, v in one.items() if n not in small} for one in (expected, found))) < 1e-4
    assert largest_difference(still, found) > 0.01, "dropout does something"


def _train(folder: str, tmp_path: Path, micro: int, devices: int, max_tokens: int | None) -> list[dict[str, Tensor]]:
    """Rows of one length of answers: in each step the same answers stand in both processes."""
    rows = random_pairs(44)
    assert len(set(rows.answers.texts)) < 40  # type: ignore[union-attr]
    datamodule: HumorDataModule = make_datamodule(
        folder, tmp_path, global_batch_size=_ROWS, micro_batch_size=micro, max_length=24, length_grouped=False,
        splits={"train": rows, "val": random_pairs(9, seed=1)}, preparation=PairPreparation,
    )  # fmt: skip
    objective = _joint()
    objective.prepare(datamodule.training_rows)
    keep = KeepGradients()
    trainer = pl.Trainer(
        **TRAINER, max_epochs=1, devices=devices, strategy="ddp_fork" if devices > 1 else "auto",
        limit_val_batches=0, callbacks=[keep, SaveOnRankZero()],
    )  # fmt: skip
    pl.seed_everything(0, verbose=False)
    learner = Learner(
        _network(folder).double(), objective, {"embedding": Embedding()},
        optimizer=LayerwiseAdamW(1e-30, WarmupDecay("cosine", 0.1), layer_decay=1.0),
        global_batch_size=_ROWS, slice_values=datamodule.slice_values, max_tokens=max_tokens,
    )  # fmt: skip
    with mock.patch.dict(os.environ):  # Lightning leaves a port there
        trainer.fit(learner, datamodule)
    return keep.steps if devices == 1 else torch.load(os.environ["GRADIENTS"], weights_only=True)


@pytest.mark.parametrize("max_tokens", [None, 200])
def test_equal_answers_of_other_processes_are_no_negatives(
    models: dict[str, str], tmp_path: Path, max_tokens: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIENTS", str(tmp_path / "steps.pt"))
    expected = _train(models["Qwen3"], tmp_path, _ROWS, 1, None)
    found = _train(models["Qwen3"], tmp_path, _ROWS // 2, 2, max_tokens)
    assert len(expected) == len(found) == 3
    assert max(itertools.starmap(largest_difference, zip(expected, found, strict=True))) < 1e-5


def test_accumulation_is_refused_with_the_remedy(models: dict[str, str], tmp_path: Path) -> None:
    from lit_humor.learning.coupled import check_accumulation

    with pytest.raises(UserError, match=r"trainer.accumulation: found 4, expected 1: Joint compares") as error:
        check_accumulation(_joint(), 4)
    assert "set trainer.accumulation=1; trainer.max_tokens cuts a step" in error.value.fix
    check_accumulation(_joint(), 1)
    check_accumulation(Joint({"language_modeling": LanguageModeling()}), 4)
