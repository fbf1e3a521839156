import numpy as np
import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.core.rows import TrainingRows
from lit_humor.objectives.class_weights import compute_class_weights
from lit_humor.objectives.cross_entropy import CrossEntropy

HAHACKATHON = np.array([3068, 4932])


def _loss(logits: torch.Tensor, labels: list[int], **options: object) -> torch.Tensor:
    objective = CrossEntropy(2, **options)  # type: ignore[arg-type]
    objective.prepare(TrainingRows(HAHACKATHON))
    outcome = objective(lambda batch: {"logits": logits}, {"labels": torch.tensor(labels)})
    return outcome.losses["cross_entropy"]


LOGITS = torch.tensor([[2.0, -1.0], [0.5, 0.1], [-1.0, 3.0]])
LABELS = [0, 1, 1]


def test_smoothing_means_what_torch_means() -> None:
    expected = torch.nn.functional.cross_entropy(LOGITS, torch.tensor(LABELS), label_smoothing=0.1, reduction="none")
    assert torch.allclose(_loss(LOGITS, LABELS, label_smoothing=0.1), expected)


def test_smoothing_does_not_switch_weights_off() -> None:
    plain = _loss(LOGITS, LABELS, label_smoothing=0.1)
    weighted = _loss(LOGITS, LABELS, label_smoothing=0.1, class_weights="balanced")
    assert torch.allclose(weighted / plain, torch.tensor([1.3038, 0.8110, 0.8110]), atol=1e-4)


def test_weights_alone_are_torchs() -> None:
    weights = torch.tensor([1.3038, 0.8110])
    expected = torch.nn.functional.cross_entropy(LOGITS, torch.tensor(LABELS), weight=weights, reduction="none")
    assert torch.allclose(_loss(LOGITS, LABELS, class_weights="balanced"), expected, atol=1e-3)


@pytest.mark.parametrize("scheme", ["none", "balanced", "effective_number", [1.0, 5.0]])
def test_weights_have_mean_one_over_the_training_rows(scheme: object) -> None:
    weights = compute_class_weights(scheme, HAHACKATHON, 0.999)
    assert (weights * HAHACKATHON).sum() == pytest.approx(HAHACKATHON.sum(), rel=1e-6)


def test_known_weights() -> None:
    assert compute_class_weights("balanced", HAHACKATHON, 0.999) == pytest.approx([1.304, 0.811], abs=1e-3)
    effective = compute_class_weights("effective_number", HAHACKATHON, 0.999)
    assert effective[0] / effective[1] == pytest.approx(1.04, abs=5e-3)
    explicit = compute_class_weights([1.0, 5.0], HAHACKATHON, 0.999)
    assert explicit[1] / explicit[0] == pytest.approx(5.0)


def test_bf16_logits_give_a_float32_loss() -> None:
    loss = _loss(LOGITS.bfloat16(), LABELS, class_weights="balanced", label_smoothing=0.1)
    assert loss.dtype == torch.float32


def test_weights_travel_in_the_checkpoint() -> None:
    trained, loaded = CrossEntropy(2, "balanced"), CrossEntropy(2, "balanced")
    trained.prepare(TrainingRows(HAHACKATHON))
    loaded.load_state_dict(trained.state_dict())
    assert torch.equal(loaded.class_weights, trained.class_weights)
    assert loaded.class_weights[0] > 1.3


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"label_smoothing": 1.0}, "objective.label_smoothing"),
        ({"class_weights": "balance"}, "objective.class_weights"),
        ({"class_weights": [1.0, 2.0, 3.0]}, "objective.class_weights"),
        ({"class_weights": [1.0, 0.0]}, "objective.class_weights"),
        ({"beta": 1.0}, "objective.beta"),
    ],
)
def test_bad_values_name_their_key(options: dict, key: str) -> None:
    with pytest.raises(UserError, match=key):
        CrossEntropy(2, **options)
