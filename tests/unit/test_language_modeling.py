"""The loss of writing, token by token, and the sum of several losses."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.objectives.contrastive import Contrastive
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.joint import Joint
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.objectives.objective import Model, Objective, Outcome, Shared

WORDS = 5
IDS = torch.tensor([[3, 4, 2], [1, 2, 0], [2, 0, 0]])  # 2 is the end, 0 the padding
MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]])
LOGITS = torch.randn(3, 3, WORDS, generator=torch.Generator().manual_seed(4))


def _batch(weights: list[float] | None = None) -> dict[str, Tensor]:
    prompt = torch.zeros(3, 2, dtype=torch.int64)
    named = {"prompt_ids": prompt, "prompt_mask": prompt, "answer_ids": IDS, "answer_mask": MASK}
    return named | {"writing_weights": torch.tensor(weights or [1.0, 1, 1]), "row_weights": torch.ones(3)}


def _reads(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    assert "labels" not in batch
    return {"answer_logits": LOGITS}


def _nll(row: int) -> float:
    """By hand."""
    total = 0.0
    for place in range(int(MASK[row].sum())):
        scores = LOGITS[row, place].tolist()
        total -= math.log(math.exp(scores[IDS[row, place]]) / sum(map(math.exp, scores)))
    return total


@pytest.mark.parametrize(("per", "divisors"), [("token", [2.5] * 3), ("row", [3, 2, 1])])
def test_a_row_has_the_loss_of_its_tokens(per: str, divisors: list[float]) -> None:
    objective = LanguageModeling(per)
    objective.prepare(TrainingRows(torch.ones(2).numpy(), mean_target_tokens=2.5))
    outcome = objective(_reads, _batch([1, 0, 1]))
    expected = [_nll(row) / divisor for row, divisor in enumerate(divisors)]
    assert outcome.losses["language_modeling"].tolist() == pytest.approx([expected[0], 0, expected[2]], abs=1e-6)
    assert outcome.outputs["nll"].tolist() == pytest.approx([_nll(row) for row in range(3)], abs=1e-6)
    assert outcome.outputs["answer_tokens"].tolist() == [3, 2, 1]


def test_padding_has_no_share() -> None:
    logits = LOGITS.clone().requires_grad_()
    LanguageModeling()(lambda batch: {"answer_logits": logits}, _batch()).total.sum().backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.any(dim=-1), MASK.bool())


def test_per_token_every_token_weighs_the_same() -> None:
    """The sum over rows is that over tokens, however rows are divided."""
    objective = LanguageModeling("token")
    objective.prepare(TrainingRows(torch.ones(2).numpy(), mean_target_tokens=2.0))  # of these rows
    total = objective(_reads, _batch()).total.mean()
    assert float(total) == pytest.approx(sum(map(_nll, range(3))) / 6, abs=1e-6)


def test_a_mean_over_a_batch_is_refused_with_its_reason() -> None:
    with pytest.raises(UserError, match="depends on which rows share it") as error:
        LanguageModeling("mixed")
    assert (error.value.where, error.value.fix) == ("objective.per", "set objective.per=token")


def test_rows_without_answers_have_no_loss() -> None:
    batch = {name: value for name, value in _batch().items() if not name.startswith("answer")}
    assert LanguageModeling()(_reads, batch) == Outcome({})


def _shares(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return _reads(batch) if "answer_ids" in batch else {"query_embeddings": QUERIES, "passage_embeddings": PASSAGES}


QUERIES, PASSAGES = (nn.functional.normalize(LOGITS[:, :number], dim=-1) for number in (1, 2))
QUERIES = QUERIES[:, 0]


def _both() -> dict[str, Tensor]:
    keys = torch.arange(9).reshape(3, 3)
    vectors = {"query_ids": IDS, "passage_ids": IDS[:, None].expand(-1, 2, -1), "text_keys": keys}
    return _batch([1, 1, 0]) | vectors | {"embedding_weights": torch.tensor([1.0, 0, 1])}


def _joint(factors: dict[str, float] | None = None) -> Joint:
    parts: dict[str, Objective | None] = {"near": Contrastive(0.5), "next": LanguageModeling("row"), "none": None}
    return Joint(parts, factors)


def test_joint_is_the_weighted_sum() -> None:
    near, following = Contrastive(0.5)(_shares, _both()), LanguageModeling("row")(_shares, _both())
    outcome = _joint({"near": 2.0, "next": 0.25})(_shares, _both())
    assert torch.allclose(outcome.losses["contrastive"], 2 * near.losses["contrastive"])
    assert torch.allclose(outcome.losses["language_modeling"], 0.25 * following.losses["language_modeling"])
    assert torch.allclose(outcome.total, 2 * near.total + 0.25 * following.total)
    assert outcome.outputs.keys() == near.outputs.keys() | following.outputs.keys()
    assert torch.allclose(_joint()(_shares, _both()).total, near.total + following.total)
    assert _joint({"near": 0})(_shares, _both()).losses["contrastive"].tolist() == [0, 0, 0]


def test_joint_has_what_its_coupling_part_has() -> None:
    whole, part = _joint({"near": 2.0}), Contrastive(0.5)
    assert whole.couples_rows
    assert torch.equal(whole.marks(_both()), part.marks(_both()))  # type: ignore[arg-type]
    values = part.shared(_shares, {"query_ids": IDS, "passage_ids": IDS})
    shared = Shared.of_batch(values, torch.ones(3), part.marks(_both()))
    assert torch.equal(whole.coupled(shared, _both())["contrastive"], 2 * part.coupled(shared, _both())["contrastive"])
    assert torch.allclose(whole(_shares, _both(), shared).total, whole(_shares, _both()).total)
    alone = Joint({"next": LanguageModeling()})
    assert not alone.couples_rows
    assert (alone.shared(_shares, _both()), alone.marks(_both()), alone.coupled(shared, _both())) == (None, None, {})


def test_joint_prepares_its_parts() -> None:
    whole = _joint()
    whole.prepare(TrainingRows(torch.ones(2).numpy(), mean_target_tokens=3.0))
    assert float(whole.state_dict()["parts.next.mean_tokens"]) == 3.0, "eval.py has it from the checkpoint"
    assert whole.outputs == ("query_embeddings", "passage_embeddings", "nll", "answer_tokens")


class Learned(Objective):
    """An objective with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        return Outcome({"learned": self.weight.expand(3)})


def test_parameters_of_parts_are_parameters() -> None:
    assert len(list(Joint({"one": Learned(), "next": LanguageModeling()}).parameters())) == 1


@pytest.mark.parametrize(
    ("parts", "factors", "where", "found", "fix"),
    [
        ({"a": LanguageModeling()}, {"b": 1.0}, "objective.factors", r"\['b'\]", "leave objective.factors.b out"),
        ({"a": Contrastive(), "b": Contrastive()}, {}, "objective.parts", "a and b", "set objective.parts.b=null"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts: Any, factors: Any, where: str, found: str, fix: str) -> None:
    with pytest.raises(UserError, match=f"found {found}") as error:
        Joint(parts, factors)
    assert error.value.where == where
    assert error.value.fix.startswith(fix)


def test_no_part_at_all_is_refused() -> None:
    with pytest.raises(UserError, match=r"^objective.parts: found no part, .*leave objective.parts.a=null out"):
        Joint({"a": None})


def test_a_part_without_its_own_tensors_is_no_part_of_a_step() -> None:
    """Rows of predict.py have no answers: what is left is the vectors."""
    batch = {name: value for name, value in _both().items() if not name.startswith(("answer", "passage"))}
    outcome = _joint()(_shares, batch)
    assert not outcome.losses
    assert "query_embeddings" in outcome.outputs


def test_classes_and_texts_may_be_learned_at_once() -> None:
    whole = Joint({"classes": CrossEntropy(2), "next": LanguageModeling()})
    assert whole.outputs[-2:] == ("nll", "answer_tokens")
