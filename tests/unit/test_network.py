"""A network of another family: what it may leave out, and what it is refused for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lit_humor.callbacks.step_seeds import StepSeeds
from lit_humor.config.command import compose
from lit_humor.config.frozen import changed
from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.engine import factory
from lit_humor.engine.checkpoints import SafeCheckpointIO, read_checkpoint
from lit_humor.engine.configuration import validate
from lit_humor.engine.machine import Machine
from lit_humor.engine.planning import build_plan
from lit_humor.engine.weights import load_weights
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.network import Network
from lit_humor.objectives.cross_entropy import CrossEntropy
from tests.unit.building import TRAINER, make_datamodule, make_learner, no_table


class Least(Network):
    """What the contract asks for, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 2)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": self.line(batch["attention_mask"].float().sum(1, keepdim=True) / 10)}

    def parameter_depths(self) -> dict[str, int]:
        return dict.fromkeys(dict(self.named_parameters()), 0)


def test_the_least_network_trains(tiny_model: str, tmp_path: Path) -> None:
    network = Least()
    network.compile_parts(backend="eager")
    datamodule = make_datamodule(tiny_model, tmp_path)
    learner = make_learner(datamodule, network)
    before = network.line.weight.detach().clone()
    pl.Trainer(**TRAINER, max_epochs=1).fit(learner, datamodule)  # type: ignore[arg-type]
    assert not torch.equal(network.line.weight, before)
    assert set(network.state_dict()) == {"line.weight", "line.bias"}, "compiled in place"


def test_network_and_objective_are_told_of_the_training_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[TrainingRows] = []
    monkeypatch.setattr(TextClassifier, "prepare", lambda self, training: told.append(training))
    monkeypatch.setattr(CrossEntropy, "prepare", lambda self, training: told.append(training))
    cfg = compose("train", ["model=tiny", "data=tiny", f"paths.cache_dir={tmp_path}"])
    pretrained = factory.resolve_pretrained(cfg)
    plan = build_plan(cfg, Machine(), pretrained)
    datamodule = factory.build_datamodule(cfg, pretrained, plan)
    datamodule.load()
    factory.build_learner(cfg, pretrained, datamodule, class_names=datamodule.class_names, plan=plan)
    assert len(told) == 2
    for rows in told:
        assert rows.class_counts.sum() == len(datamodule.splits["train"])
        assert rows.mean_target_tokens is None
        assert rows.used_tokens is not None
        assert np.isin(datamodule.prepared["val"].collate(np.arange(5))["input_ids"], rows.used_tokens).all()


def test_what_is_no_network_is_refused() -> None:
    cfg = compose("train", ["model=tiny"])
    head = {"_target_": "lit_humor.models.dropout.FastDropout", "p": 0.1}
    with pytest.raises(UserError, match=r"model\.network: found FastDropout, expected a subclass of Network"):
        validate(changed(cfg, {"model.network": head}))


class Adapted(Network):
    """A frozen part that the constructor makes, and an adapter that learns."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.frozen = nn.Embedding(700, 8).requires_grad_(False)
        self.adapter, self.dropout = nn.Linear(8, 2), nn.Dropout(0.3)

    def keeps(self, name: str) -> bool:
        return name.startswith("adapter.")

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"logits": self.adapter(self.dropout(self.frozen(batch["input_ids"]).mean(1)))}

    def parameter_depths(self) -> dict[str, int]:
        return dict.fromkeys(dict(self.named_parameters()), 0)


class _Halfway(pl.Callback):
    """Saves after two epochs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(self.path)


def test_a_checkpoint_holds_what_the_network_keeps_and_goes_on_from_it(tiny_model: str, tmp_path: Path) -> None:
    networks, half = [Adapted(), Adapted()], tmp_path / "half.ckpt"
    for network, checkpoint in zip(networks, (None, half), strict=True):
        datamodule = make_datamodule(tiny_model, tmp_path)
        callbacks = [StepSeeds(0)] if checkpoint else [StepSeeds(0), _Halfway(half)]
        options: Any = TRAINER | {"max_epochs": 4, "callbacks": callbacks, "plugins": [SafeCheckpointIO()]}
        learner = make_learner(datamodule, network)
        pl.Trainer(**options).fit(learner, datamodule, ckpt_path=checkpoint, weights_only=True)
    held = read_checkpoint(half)["state_dict"]
    assert {name for name in held if name.startswith("model.")} == {"model.adapter.weight", "model.adapter.bias"}
    whole, resumed = networks
    assert torch.equal(resumed.adapter.weight, whole.adapter.weight)
    assert not torch.equal(whole.adapter.weight, held["model.adapter.weight"])


def test_a_checkpoint_must_hold_exactly_that(tiny_model: str, tmp_path: Path) -> None:
    learner = make_learner(make_datamodule(tiny_model, tmp_path), Adapted())
    state = learner.state_dict()
    learner.load_state_dict(state)
    for name in state:
        with pytest.raises(RuntimeError, match="Missing key"):
            learner.load_state_dict({other: value for other, value in state.items() if other != name})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*model\.frozen\.weight"):
        learner.load_state_dict(state | {"model.frozen.weight": torch.zeros(700, 8)})
    path = tmp_path / "whole.ckpt"
    torch.save({"state_dict": state | {"model.frozen.weight": torch.zeros(700, 8)}}, path)
    with pytest.raises(UserError, match=r"model\.frozen\.weight is there, but not here"):
        load_weights(learner, path, no_table)
