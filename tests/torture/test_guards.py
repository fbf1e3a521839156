"""Planted faults of a training: not a number, out of memory, collapse."""

import re
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from lit_humor.callbacks.guards import FiniteWeights
from lit_humor.core.errors import NonFiniteStepError, UserError
from lit_humor.engine.checkpoints import SafeCheckpointIO
from lit_humor.learning.learner import Learner
from lit_humor.tasks.classification import is_collapsed
from tests.e2e.typed import typed
from tests.torture.running import train
from tests.unit.building import TRAINER, BagOfTokens, make_datamodule, make_learner


class _BadRow(BagOfTokens):
    """Gives a logit that is not finite for one row, in training."""

    row, value = 7, float("nan")

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        outputs = super().forward(batch)
        bad = (batch["rows"] == self.row) & self.training
        outputs["logits"] = torch.where(bad[:, None], outputs["logits"] * self.value, outputs["logits"])
        return outputs


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_ends_the_run_and_keeps_the_weights(
    tiny_model: str, tmp_path: Path, value: float
) -> None:
    datamodule = make_datamodule(tiny_model, tmp_path, global_batch_size=16, micro_batch_size=8)
    model = _BadRow()
    model.value = value
    learner = make_learner(datamodule, model)
    trainer = pl.Trainer(
        **TRAINER | {"default_root_dir": tmp_path}, max_epochs=2, accumulate_grad_batches=2, gradient_clip_val=1.0,
        callbacks=[FiniteWeights(str(tmp_path))], plugins=[SafeCheckpointIO()],
    )  # fmt: skip
    with pytest.raises(NonFiniteStepError) as told:
        trainer.fit(learner, datamodule)
    rows = re.search(r"of the rows ([\d, ]+\d)", str(told.value))
    assert rows is not None
    assert str(model.row) in rows[1].split(", "), "the row that did it is among those of its step"
    assert len(rows[1].split(", ")) <= 16
    kept = torch.load(tmp_path / "checkpoints" / "finite.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in kept.values())


class _Hungry(BagOfTokens):
    """Runs out of memory on more than some tokens, in the forward, the backward or an evaluation pass."""

    most, where = 0, "forward"
    kinds: frozenset[torch.dtype] = frozenset()  # of the logits

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        outputs = super().forward(batch)
        self.kinds = self.kinds | {outputs["logits"].dtype}
        too_much = self.training != (self.where == "evaluation") and batch["input_ids"].numel() > self.most
        if too_much and self.where != "backward":
            raise torch.OutOfMemoryError("planted")
        if too_much:
            outputs["logits"] = _FailsBackward.apply(outputs["logits"])
        return outputs


class _FailsBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, input: torch.Tensor) -> torch.Tensor:
        return input.clone()

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("planted")


def _train(
    tiny_model: str, folder: Path, most: int, where: str, max_tokens: int | None, **trainer_options: str
) -> tuple[torch.Tensor, Learner]:
    datamodule = make_datamodule(tiny_model, folder, global_batch_size=16, micro_batch_size=8)
    pl.seed_everything(0, verbose=False)
    model = _Hungry()
    model.most, model.where = most, where
    learner = make_learner(datamodule, model, max_tokens=max_tokens)
    options = TRAINER | trainer_options
    trainer = pl.Trainer(**options, max_epochs=2, accumulate_grad_batches=2, gradient_clip_val=1.0)
    trainer.fit(learner, datamodule)
    return torch.cat([p.detach().flatten() for p in learner.parameters()]), learner


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("max_tokens", [None, 200])
def test_out_of_memory_goes_on_in_smaller_passes(
    tiny_model: str, tmp_path: Path, where: str, max_tokens: int | None
) -> None:
    expected, _ = _train(tiny_model, tmp_path, 10**9, where, max_tokens)
    found, learner = _train(tiny_model, tmp_path, 100, where, max_tokens)
    assert 32 <= learner.step.max_tokens <= 100
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_resumed_training_knows_what_memory_allows(tiny_model: str, tmp_path: Path) -> None:
    """Out of memory in the first epoch, and never again after a resume."""
    datamodule = make_datamodule(tiny_model, tmp_path, global_batch_size=16, micro_batch_size=8)
    hungry, sizes = _Hungry(), list[int]()
    hungry.most = 100
    options = TRAINER | {"enable_checkpointing": True, "default_root_dir": tmp_path}
    first = pl.Trainer(**options, max_epochs=1, accumulate_grad_batches=2, plugins=[SafeCheckpointIO()])
    learner = make_learner(datamodule, hungry)
    first.fit(learner, datamodule)
    learned = learner.step.max_tokens
    first.save_checkpoint(tmp_path / "last.ckpt")

    class Noting(_Hungry):
        def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            sizes.append(batch["input_ids"].numel() if self.training else 0)
            return super().forward(batch)

    again = Noting()
    again.most = 100
    learner = make_learner(make_datamodule(tiny_model, tmp_path, global_batch_size=16, micro_batch_size=8), again)
    assert learner.step.max_tokens is None
    trainer = pl.Trainer(**options, max_epochs=2, accumulate_grad_batches=2, plugins=[SafeCheckpointIO()])
    trainer.fit(learner, datamodule, ckpt_path=str(tmp_path / "last.ckpt"), weights_only=True)
    assert learner.step.max_tokens == learned <= 100
    assert 0 < max(sizes) <= learned


def test_a_checkpoint_without_a_bound_leaves_the_plan_as_it_is(tiny_model: str, tmp_path: Path) -> None:
    learner = make_learner(make_datamodule(tiny_model, tmp_path), max_tokens=64)
    learner._trainer = pl.Trainer(**TRAINER)
    for told, expected in (({}, 64), ({"max_tokens": None}, 64), ({"max_tokens": 128}, 64), ({"max_tokens": 32}, 32)):
        learner.on_load_checkpoint(dict(told))
        assert learner.step.max_tokens == expected


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_a_step_that_is_made_anew_keeps_its_precision(tiny_model: str, tmp_path: Path, where: str) -> None:
    _, learner = _train(tiny_model, tmp_path, 100, where, None, precision="bf16-mixed")
    assert learner.step.max_tokens <= 100
    assert learner.model.kinds == {torch.bfloat16}


def test_evaluation_goes_on_in_smaller_passes(tiny_model: str, tmp_path: Path) -> None:
    _, expected = _train(tiny_model, tmp_path, 10**9, "evaluation", None)
    _, learner = _train(tiny_model, tmp_path, 100, "evaluation", None)
    assert 32 <= learner.eval_max_tokens <= 100
    assert learner.step.max_tokens is None
    for name in ("loss", "f1", "auroc"):
        assert learner.results["val"][name] == pytest.approx(expected.results["val"][name])


def test_a_row_that_does_not_fit_is_told(tiny_model: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a chunk that fits.*gradient_checkpointing"):
        _train(tiny_model, tmp_path, 4, "forward", None)


@pytest.mark.parametrize(
    ("confusion", "loss", "weights", "collapsed"),
    [
        ([[0, 30], [0, 50]], 0.66, None, True),  # entropy of 30 / 50 is 0.66
        ([[0, 30], [0, 50]], 0.60, None, False),  # one class, but it knows something
        ([[1, 29], [0, 50]], 0.66, None, False),
        ([[0, 30], [0, 50]], 0.69, [1.33, 0.8], True),
        ([[0, 2], [0, 98]], 0.098, None, True),
    ],
)
def test_what_a_collapse_is(
    confusion: list[list[int]], loss: float, weights: list[float] | None, collapsed: bool
) -> None:
    assert is_collapsed({"confusion": confusion, "loss": loss}, weights) is collapsed


BARE = ("baseline=false", "report=false")
COLLAPSING = ("optim.learning_rate=1e-30", "trainer.max_epochs=3", "callbacks.early_stopping=null", *BARE)


def test_a_collapse_is_told(tmp_path: Path) -> None:
    done = train(tmp_path, "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=run", *COLLAPSING)
    assert done.code == 0, done.output
    assert done.output.count("The model has collapsed: one class only in 2 validations") == 1


@pytest.mark.slow
def test_a_collapse_is_tried_again_at_half_the_rate_once(tmp_path: Path) -> None:
    done = typed("train", "debug=tiny", f"paths.logs_dir={tmp_path}", "run_id=run", "recover=true", *COLLAPSING)
    assert done.returncode == 0, done.stderr
    assert "Once more from the start at half the rate, as run-half-rate" in done.stdout
    config = (tmp_path / "run-half-rate" / "config.yaml").read_text()
    assert "learning_rate: 5.0e-31" in config
    assert "recover: false" in config
    assert '"state": "failed"' in (tmp_path / "run" / "status.json").read_text()
