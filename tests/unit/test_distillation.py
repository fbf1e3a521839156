"""What a student learns from its teachers: the formula, the same for every division of a step."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lit_humor.core.errors import UserError
from lit_humor.data.preparing.soft_labels import PreparedSoftLabels
from lit_humor.learning.step import OptimizerStep
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.distillation import Distillation
from tests.unit.building import BagOfTokens, largest_difference, make_collator
from tests.unit.test_coupled import _batch as make_batch

_ROWS = 16


def _model() -> BagOfTokens:
    torch.manual_seed(1)
    return BagOfTokens()


def _batch() -> Any:
    logits = torch.randn(_ROWS, 2, generator=torch.Generator().manual_seed(3))
    return make_batch() | {"soft_labels": logits.softmax(dim=-1)}


def test_one_teacher_alone_is_cross_entropy_against_its_probabilities() -> None:
    batch, model = _batch(), _model()
    outcome = Distillation(2, temperature=1, weight=1, label_smoothing=0.1)(model, batch)
    expected = F.cross_entropy(model(batch)["logits"], batch["soft_labels"], reduction="none")
    torch.testing.assert_close(outcome.losses["distillation"], expected)
    torch.testing.assert_close(outcome.outputs["probabilities"], model(batch)["logits"].softmax(dim=-1))


def test_temperature_and_labels() -> None:
    batch, model = _batch(), _model()
    plain = CrossEntropy(2, [1.0, 3.0], 0.1)
    found = Distillation(2, temperature=3, weight=0.25, class_weights=[1.0, 3.0], label_smoothing=0.1)
    plain.class_weights.copy_(torch.tensor([0.5, 1.5]))
    found.class_weights.copy_(plain.class_weights)
    soft = (batch["soft_labels"].double().log() / 3).softmax(dim=-1)
    of_teacher = -9 * (soft * (model(batch)["logits"].double() / 3).log_softmax(dim=-1)).sum(dim=-1)
    expected = 0.25 * of_teacher + 0.75 * plain(model, batch).total
    torch.testing.assert_close(found(model, batch).total.double(), expected, rtol=1e-5, atol=1e-6)


def test_rows_without_soft_labels_have_the_loss_of_their_labels() -> None:
    model, batch = _model(), make_batch()
    found = Distillation(2, label_smoothing=0.1)(model, batch)
    assert torch.equal(found.losses["cross_entropy"], CrossEntropy(2, label_smoothing=0.1)(model, batch).total)


def test_a_teacher_that_is_sure_gives_finite_gradients() -> None:
    model, batch = _model(), _batch()
    batch["soft_labels"] = torch.eye(2)[batch["labels"]]
    Distillation(2, temperature=0.5, weight=1)(model, batch).total.sum().backward()
    assert all(bool(one.grad.isfinite().all()) for one in model.parameters() if one.grad is not None)


def test_chunks_and_accumulated_parts_give_the_gradient_of_the_whole() -> None:
    def gradients(parts: int, max_tokens: int | None) -> dict[str, torch.Tensor]:
        model, batch, size = _model(), _batch(), _ROWS // parts
        step = OptimizerStep(model, Distillation(2), _ROWS, max_tokens)
        for start in range(0, _ROWS, size):
            step.backward(step.loss({name: value[start : start + size] for name, value in batch.items()}))  # type: ignore[arg-type]
        return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}

    whole = gradients(1, None)
    assert largest_difference(whole, gradients(1, 3 * 6)) < 1e-6
    assert largest_difference(whole, gradients(2, None)) < 1e-6


def test_soft_labels_are_those_of_the_rows() -> None:
    prepared = make_collator([3, 5, 4, 2]).prepared
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    found = PreparedSoftLabels(prepared, values).collate(np.array([2, 0]))
    assert found["soft_labels"].tolist() == [[4, 5], [0, 1]]
    assert torch.equal(found["input_ids"], prepared.collate(np.array([2, 0]))["input_ids"])


@pytest.mark.parametrize("wrong", [{"temperature": 0}, {"weight": 1.5}])
def test_numbers_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"objective.{next(iter(wrong))}"):
        Distillation(2, **wrong)
