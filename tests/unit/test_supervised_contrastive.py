"""Rows of a class lie near each other: the formula, and the same gradient whatever the memory and the processes."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.learning.step import OptimizerStep
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.joint import Joint
from lit_humor.objectives.objective import Objective
from lit_humor.objectives.supervised_contrastive import SupervisedContrastive
from tests.unit import test_coupled
from tests.unit.building import BagOfTokens, largest_difference, make_datamodule
from tests.unit.test_coupled import _batch as make_batch

_ROWS = 16


def _by_hand(vectors: Tensor, labels: list[int], temperature: float) -> list[float]:
    """Row by row, as the paper has it."""
    losses = []
    for row, vector in enumerate(vectors):
        others = [index for index in range(len(labels)) if index != row]
        total = sum(math.exp(float(vector @ vectors[index]) / temperature) for index in others)
        same = [index for index in others if labels[index] == labels[row]]
        logs = [math.log(math.exp(float(vector @ vectors[index]) / temperature) / total) for index in same]
        losses.append(-sum(logs) / len(same) if same else 0.0)
    return losses


def test_the_loss_is_the_formula_and_padding_rows_are_no_rows() -> None:
    torch.manual_seed(0)
    vectors, labels = torch.randn(7, 4), torch.tensor([0, 1, 0, 0, 2, 1, 0])
    weights = torch.tensor([1.0, 1, 1, 1, 1, 1, 0])  # the last row is one put in
    batch = {"labels": labels, "row_weights": weights}
    found = SupervisedContrastive(0.5)(lambda batch: {"embeddings": 3 * vectors}, batch).losses
    units = vectors / vectors.norm(dim=1, keepdim=True)
    expected = _by_hand(units[:6], labels[:6].tolist(), 0.5)
    assert expected[4] == 0, "no other row of its class"
    assert (found["supervised_contrastive"] * weights)[:6].tolist() == pytest.approx(expected, abs=1e-5)


def test_one_row_has_no_loss_and_a_gradient() -> None:
    vector = torch.randn(1, 4, requires_grad=True)
    batch = {"labels": torch.tensor([1]), "row_weights": torch.ones(1)}
    loss = SupervisedContrastive()(lambda batch: {"embeddings": vector}, batch).total
    loss.sum().backward()
    assert loss.item() == 0
    assert vector.grad is not None
    assert torch.equal(vector.grad, torch.zeros(1, 4))


def _loss() -> Objective:
    return Joint({"classes": CrossEntropy(2), "near": SupervisedContrastive(0.3)}, {"classes": 1.0, "near": 0.5})


def _model() -> BagOfTokens:
    torch.manual_seed(1)
    return BagOfTokens()


def _gradients(max_tokens: int | None) -> dict[str, Tensor]:
    model = _model()
    step = OptimizerStep(model, _loss(), _ROWS, max_tokens)
    step.backward(step.loss(make_batch()))
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("size", [1, 3, 8])
def test_chunks_give_the_gradient_of_the_whole(size: int) -> None:
    whole = _gradients(None)
    assert largest_difference(whole, _gradients(size * 6)) < 1e-6


def test_the_gradient_is_that_of_the_sum_of_both() -> None:
    model, batch = _model(), make_batch()
    outputs = model(batch)
    losses = torch.nn.functional.cross_entropy(outputs["logits"], batch["labels"], reduction="none")
    near = SupervisedContrastive(0.3)(lambda _: outputs, batch).total  # type: ignore[arg-type]
    (((losses + 0.5 * near) * batch["row_weights"]).sum() / _ROWS).backward()
    expected = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    assert largest_difference(expected, _gradients(6)) < 1e-6


def test_positives_come_from_all_processes(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIENTS", str(tmp_path / "steps.pt"))
    monkeypatch.setattr(test_coupled, "Contrast", _loss)
    monkeypatch.setattr(test_coupled, "_model", _model)
    one = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS)
    two = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS // 2)
    expected, found = test_coupled._train(one, 1, 1, None), test_coupled._train(two, 1, 2, None)
    assert len(expected) == len(found) == 3
    assert max(itertools.starmap(largest_difference, zip(expected, found, strict=True))) < 1e-6


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match=r"objective\.temperature: found 0.*set objective\.temperature=0\.3"):
        SupervisedContrastive(0)
