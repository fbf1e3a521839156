"""What nobody reads is not computed, and what predictions keep of a network is kept whatever the loss."""

import pytest
import torch

from lit_humor.models.fused import Fused
from lit_humor.objectives.binary_cross_entropy import BinaryCrossEntropy
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.joint import Joint
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.objectives.objective import Objective, Outcome
from tests.unit.fusing import make_batch, make_model, make_network


class Focal(Objective):
    """A loss as docs/adding.md shows it, without ``shared``."""

    def forward(self, model, batch) -> Outcome:  # type: ignore[override]
        log_p = model(batch)["logits"].float().log_softmax(-1)
        return Outcome({"focal": -log_p[:, 0]}, {"probabilities": log_p.exp()})


LOSSES: dict[str, tuple[Objective, int]] = {
    "classes": (CrossEntropy(3), 0),
    "several labels": (BinaryCrossEntropy(3), 0),
    "a new loss": (Focal(), 0),
    "words": (LanguageModeling(), 1),
    "classes and words": (Joint({"classes": CrossEntropy(3), "words": LanguageModeling()}), 1),
    "words and classes": (Joint({"words": LanguageModeling(), "classes": CrossEntropy(3)}), 1),
    "classes of a joint loss": (Joint({"classes": CrossEntropy(3), "words": None}), 0),
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Fused:
    return make_network(make_model(tmp_path_factory.mktemp("model")))


def _batch() -> dict[str, torch.Tensor]:
    targets = {"labels": torch.tensor([0, 2, 1]), "targets": torch.tensor([[0.0, 1, 1]] * 3)}
    return make_batch() | targets | {"writing_weights": torch.ones(3)}


@pytest.mark.parametrize("name", LOSSES)
def test_the_decoder_runs_for_those_that_read_it(network: Fused, name: str) -> None:
    objective, expected = LOSSES[name]
    calls: list[int] = []
    assert network.decoder is not None
    hook = network.decoder.register_forward_hook(lambda *given: calls.append(1))
    outcome = objective(network, _batch())
    hook.remove()
    assert len(calls) == expected
    plain = objective.forward(network, _batch())
    assert torch.equal(outcome.total, plain.total)
    assert torch.equal(outcome.outputs["gate"], network(_batch())["gate"])
    assert not outcome.outputs["gate"].requires_grad
    assert {"gate", *plain.outputs} == outcome.outputs.keys()
