"""Easy questions first: the order that was planned is the one in which a model reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
from torch import Tensor, nn

from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.dividing.ordering import training_order
from lit_humor.data.sources.cartoon_questions import CartoonQuestions
from lit_humor.learning.learner import Learner
from lit_humor.models.network import Network
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.optim.groups import LayerwiseAdamW
from lit_humor.optim.schedules import WarmupDecay
from lit_humor.tasks.generation import Generation
from tests.unit.building import TRAINER
from tests.unit.chatting import Chatting, preparation

STEP = 16


class Recorder(Network):
    """The smallest network that learns answers, and remembers which rows it was given in training."""

    gives = ("answer_logits",)

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(400, 8), nn.Linear(8, 400)
        self.seen: list[list[int]] = []

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self.training:
            self.seen.append(batch["rows"].tolist())
        return {"answer_logits": self.head(self.words(batch["answer_ids"]))}

    def parameter_depths(self) -> dict[str, int]:
        return {name: 0 for name, _ in self.named_parameters()}


def _trained(folder: Path, max_tokens: int | None = None, **named: Any) -> tuple[Recorder, HumorDataModule]:
    """Train for two epochs, in steps of 16 rows."""
    chats = preparation(folder, batch_size=STEP, difficulty="column", **named)
    source = CartoonQuestions(str(folder / "pictures"), size=16, rows_per_split=48)
    datamodule = HumorDataModule(source, chats, chats.settings)
    datamodule.setup()
    network = Recorder()
    task = Generation()
    task.connect(Chatting())
    learner = Learner(
        network,
        LanguageModeling(),
        {"generation": task},
        optimizer=LayerwiseAdamW(0.01, WarmupDecay("linear", 0.1), layer_decay=1.0),
        global_batch_size=STEP,
        slice_values=datamodule.slice_values,
        max_tokens=max_tokens,
    )
    trainer = pl.Trainer(**TRAINER, max_epochs=2, limit_val_batches=0, default_root_dir=str(folder))  # type: ignore[arg-type]
    trainer.fit(learner, datamodule)
    return network, datamodule


@pytest.mark.parametrize("max_tokens", [None, 500])
def test_the_planned_order_reaches_the_model(max_tokens: int | None, tmp_path: Path) -> None:
    network, datamodule = _trained(tmp_path, max_tokens, order="easy_first")
    stages = datamodule.splits["train"].difficulty
    assert stages is not None
    seen = [row for rows in network.seen for row in rows]
    assert len(network.seen) > 18 if max_tokens else len(network.seen) == 18
    assert stages[seen].tolist() == sorted(stages.tolist()) * 2
    planned = training_order(stages, False, datamodule.seed)
    for start in range(0, 2 * len(planned), STEP):
        place = start % len(planned)
        assert sorted(seen[start : start + STEP]) == sorted(planned[place : place + STEP])


def test_random_order_is_another_one_in_each_epoch(tmp_path: Path) -> None:
    network, datamodule = _trained(tmp_path, order="random")
    stages: Any = datamodule.splits["train"].difficulty
    seen = [row for rows in network.seen for row in rows]
    first, second = seen[:144], seen[144:]
    assert sorted(first) == sorted(second) == list(range(144))
    assert first != second
    assert np.abs(np.diff(stages[first])).sum() > 10 * (stages.max() - stages.min())
