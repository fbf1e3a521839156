"""The contrastive loss, row by row: which passages are negatives, what rows weigh, and the debiased form."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_humor.core.errors import UserError
from lit_humor.objectives.contrastive import Contrastive
from lit_humor.objectives.objective import Shared

ROWS, SIZE, T = 7, 6, 0.2


def _vectors(seed: int = 0, groups: int = 2) -> Tensor:
    """[ROWS, 1 + groups, SIZE] of length 1."""
    vectors = torch.randn(ROWS, 1 + groups, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=-1)


def _keys(groups: int = 2) -> Tensor:
    """All different, as many as vectors."""
    return torch.arange(ROWS * (1 + groups)).reshape(ROWS, 1 + groups) + 100


class Given:
    """A model that gives vectors."""

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors

    def __call__(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = batch["query_ids"][:, 0]
        return {"query_embeddings": self.vectors[rows, 0], "passage_embeddings": self.vectors[rows, 1:]}


def _batch(keys: Tensor, weights: Tensor | None = None, row_weights: Tensor | None = None) -> dict[str, Tensor]:
    return {
        "query_ids": torch.arange(ROWS)[:, None],
        "passage_ids": torch.zeros(ROWS, keys.shape[1] - 1, 1, dtype=torch.int64),
        "text_keys": keys,
        "embedding_weights": torch.ones(ROWS) if weights is None else weights,
        "row_weights": torch.ones(ROWS) if row_weights is None else row_weights,
    }


def _losses(objective: Contrastive, vectors: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    return objective(Given(vectors.float()), batch).losses["contrastive"]


def _plain(vectors: Tensor, keys: Tensor, weights: Tensor, loss: Callable[[float, list[float]], float]) -> list[float]:
    """Loops over rows and passages; ``loss`` gets the own score and those of negatives, over the temperature."""
    losses = []
    for row in range(ROWS):
        query, own_key = vectors[row, 0], keys[row, 1]
        negatives = [
            float(query @ vectors[other, place]) / T
            for other in range(ROWS)
            for place in range(1, keys.shape[1])
            if weights[other] and keys[other, place] not in (-1, own_key, keys[row, 0])
        ]
        losses.append(loss(float(query @ vectors[row, 1]) / T, negatives) if weights[row] else 0.0)
    return losses


def _info_nce(own: float, negatives: list[float]) -> float:
    return -math.log(math.exp(own) / (math.exp(own) + sum(map(math.exp, negatives))))


def _debiased(share: float) -> Callable[[float, list[float]], float]:
    """Chuang et al. 2020, equations 7 and 8, with M = 1 positive and N negatives."""

    def loss(own: float, negatives: list[float]) -> float:
        count = len(negatives)
        mean = sum(map(math.exp, negatives)) / count
        estimate = max((mean - share * math.exp(own)) / (1 - share), math.exp(-1 / T))
        return -math.log(math.exp(own) / (math.exp(own) + count * estimate))

    return loss


def _some_equal() -> Tensor:
    """Row 1 has the passage of row 0, the negative of row 3 is the query of row 4, rows 2 and 5 have no negative."""
    keys = _keys()
    keys[1, 1] = keys[0, 1]
    keys[3, 2] = keys[4, 0]
    keys[2, 2] = keys[5, 2] = -1
    return keys


WEIGHTS = torch.tensor([1.0, 1, 1, 1, 0, 1, 1])


@pytest.mark.parametrize("weights", [torch.ones(ROWS), WEIGHTS], ids=["all rows", "one does not embed"])
@pytest.mark.parametrize("keys", [_keys(), _some_equal(), _keys(1)], ids=["different", "some equal", "no negatives"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_the_loss_is_that_of_a_plain_loop(keys: Tensor, weights: Tensor, share: float) -> None:
    vectors = _vectors(groups=keys.shape[1] - 1)
    expected = _plain(vectors, keys, weights, _debiased(share) if share else _info_nce)
    found = _losses(Contrastive(T, share), vectors, _batch(keys, weights))
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_the_debiased_sum_has_a_least_value() -> None:
    """A query at its own passage, and negatives on the other side: the difference is below what there can be."""
    vectors = torch.zeros(ROWS, 2, SIZE, dtype=torch.float64)
    vectors[:, :, 0] = 1
    vectors[1:, 1, 0] = -1
    found = _losses(Contrastive(T, 0.4), vectors, _batch(_keys(1)))
    least = -math.log(math.exp(1 / T) / (math.exp(1 / T) + (ROWS - 1) * math.exp(-1 / T)))
    assert float(found[0]) == pytest.approx(least, abs=1e-6)
    assert _plain(vectors, _keys(1), torch.ones(ROWS), _debiased(0.4))[0] == pytest.approx(least)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_small_temperatures_stay_finite(share: float) -> None:
    """exp(1 / 0.005) is beyond float32."""
    vectors = _vectors().float().requires_grad_()
    losses = objective_losses(Contrastive(0.005, share), vectors)
    losses.sum().backward()
    assert losses.isfinite().all()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()


def objective_losses(objective: Contrastive, vectors: Tensor, **named: Any) -> Tensor:
    return objective(Given(vectors), _batch(_some_equal(), **named)).losses["contrastive"]


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_what_is_no_negative_has_no_gradient(share: float) -> None:
    keys = _some_equal()
    for row, others in ((0, [(1, 1)]), (1, [(0, 1)]), (4, [(3, 2)])):
        vectors = _vectors().float().requires_grad_()
        losses = _losses(Contrastive(T, share), vectors, _batch(keys))
        (gradient,) = torch.autograd.grad(losses[row], vectors)
        absent = [*others, (2, 2), (5, 2)]
        for place in absent:
            assert not gradient[place].any(), (row, place)
        queries = [(other, 0) for other in range(ROWS) if other != row]
        rest = {(other, place) for other in range(ROWS) for place in range(3)} - set(absent) - set(queries)
        assert all(gradient[place].any() for place in rest)
        assert not any(gradient[place].any() for place in queries)


def test_rows_that_do_not_embed_have_no_loss_and_no_gradient() -> None:
    vectors = _vectors().float().requires_grad_()
    losses = objective_losses(Contrastive(T), vectors, weights=WEIGHTS)
    (gradient,) = torch.autograd.grad(losses.sum(), vectors)
    assert losses[4] == 0
    assert not gradient[4].any()
    assert gradient[:4, 0].any(dim=-1).all()


def test_padding_rows_are_nobodys_negatives() -> None:
    """What they have is a copy of another row."""
    row_weights = torch.tensor([1.0, 1, 1, 1, 1, 1, 0])
    vectors = _vectors().float().requires_grad_()
    losses = objective_losses(Contrastive(T), vectors, row_weights=row_weights)[:6]
    (gradient,) = torch.autograd.grad(losses.sum(), vectors)
    assert not gradient[6].any()
    assert losses.tolist() == pytest.approx(_plain(_vectors(), _some_equal(), row_weights, _info_nce)[:6], abs=1e-5)


def test_one_row_alone_has_nothing_to_learn() -> None:
    keys = torch.full((ROWS, 2), 5)
    for share in (0.0, 0.2):
        vectors = _vectors(groups=1).float().requires_grad_()
        losses = _losses(Contrastive(T, share), vectors, _batch(keys))
        losses.sum().backward()
        assert losses.tolist() == [0] * ROWS
        assert vectors.grad is not None
        assert vectors.grad.isfinite().all()


def test_rows_of_other_processes_are_negatives() -> None:
    """The same losses from vectors and marks of the whole step."""
    objective, vectors, batch = Contrastive(T), _vectors().float(), _batch(_some_equal(), WEIGHTS)
    whole = objective(Given(vectors), batch).losses["contrastive"]
    part = {name: value[3:] for name, value in batch.items()}
    shared = Shared(vectors, torch.arange(3, ROWS), objective.marks(batch))
    assert torch.equal(objective(Given(vectors), part, shared).losses["contrastive"], whole[3:])
    assert torch.equal(objective.shared(Given(vectors), part), vectors[3:])


def test_no_share_is_the_plain_loss() -> None:
    plain, tiny = (objective_losses(Contrastive(T, share), _vectors().float()) for share in (0.0, 1e-9))
    assert torch.allclose(plain, tiny, atol=1e-5)


def test_rows_without_passages_have_vectors_alone() -> None:
    batch = _batch(_keys())
    model = Given(_vectors().float())
    del batch["passage_ids"]
    outcome = Contrastive(T)(lambda given: {"query_embeddings": model(given)["query_embeddings"]}, batch)
    assert not outcome.losses
    assert outcome.outputs.keys() == {"query_embeddings"}


@pytest.mark.parametrize(
    ("options", "place", "remedy"),
    [
        ({"temperature": 0}, "objective.temperature", {"temperature": 0.02}),
        ({"positive_share": 1.0}, "objective.positive_share", {"positive_share": 0}),
        ({"positive_share": -0.1}, "objective.positive_share", {"positive_share": 0}),
    ],
)
def test_numbers_out_of_range_are_refused(options: Any, place: str, remedy: Any) -> None:
    with pytest.raises(UserError) as error:
        Contrastive(**options)
    ((key, value),) = remedy.items()
    assert (error.value.where, error.value.fix) == (place, f"set objective.{key}={value}")
    Contrastive(**(options | remedy))


def test_rows_without_embedding_are_refused() -> None:
    with pytest.raises(UserError, match=r"model.preparation.parts: found no embedding"):
        Contrastive()(Given(_vectors()), {"prompt_ids": torch.zeros(2, 1)})
