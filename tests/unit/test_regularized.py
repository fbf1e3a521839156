"""Terms that are added to a loss: their formulas, in training alone, and the same for every division of a step."""

import copy
from collections.abc import Iterator, Mapping
from itertools import pairwise, starmap
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_humor.callbacks.epoch_of_loss import EpochOfLoss
from lit_humor.config.command import compose
from lit_humor.config.parts import with_arguments
from lit_humor.core.errors import UserError
from lit_humor.learning.step import OptimizerStep
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.fgm import FGM
from lit_humor.objectives.focal import Focal
from lit_humor.objectives.mean_squared_error import MeanSquaredError
from lit_humor.objectives.multi_sample_dropout import MultiSampleDropout
from lit_humor.objectives.objective import Objective
from lit_humor.objectives.r_drop import RDrop
from lit_humor.objectives.regularized import Regularizer, regularized
from tests.unit import test_coupled
from tests.unit.building import BagOfTokens, largest_difference, make_datamodule
from tests.unit.comparing import short_batch, tiny_classifier
from tests.unit.test_coupled import Contrast, Views
from tests.unit.test_coupled import _batch as make_batch

_ROWS = 16


class TwoWays(BagOfTokens):
    """Computes by turns in two ways, as two dropout masks would, but the same for every division of rows."""

    calls = 0

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = super().forward(batch)
        self.calls += 1
        return outputs if self.calls % 2 else outputs | {"logits": 0.5 * outputs["logits"] + 0.1}


def _model(kind: type[BagOfTokens] = TwoWays) -> Any:
    torch.manual_seed(1)
    return kind()


def _terms(*names: str) -> dict[str, Regularizer]:
    known = {"multi": MultiSampleDropout(3), "r_drop": RDrop(0.7), "fgm": FGM(0.5)}
    return {name: known[name] for name in names}


def _loss(*names: str) -> Objective:
    return regularized(CrossEntropy(2, label_smoothing=0.1), _terms(*names))


def _gradients(model: nn.Module, objective: Objective, parts: int, max_tokens: int | None = None) -> dict[str, Tensor]:
    step = OptimizerStep(model, objective, _ROWS, max_tokens)
    batch: Any = make_batch()
    size = _ROWS // parts
    for start in range(0, _ROWS, size):
        step.backward(step.loss({name: value[start : start + size] for name, value in batch.items()}))  # type: ignore[arg-type]
    return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}


ALL = [("multi",), ("r_drop",), ("fgm",), ("multi", "r_drop", "fgm")]


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_chunks_and_accumulated_parts_give_the_gradient_of_the_whole(names: tuple[str, ...]) -> None:
    kind = BagOfTokens if names == ("multi",) else TwoWays  # one pass a chunk; the others have an even number
    whole = _gradients(_model(kind), _loss(*names), 1)
    assert largest_difference(whole, _gradients(_model(kind), _loss(*names), 1, max_tokens=3 * 6)) < 1e-6
    assert largest_difference(whole, _gradients(_model(kind), _loss(*names), 2)) < 1e-6
    plain = _gradients(_model(kind), CrossEntropy(2, label_smoothing=0.1), 1)
    if names != ("multi",):  # without dropout all of its masks are one
        assert largest_difference(plain, whole) > 1e-3, "the term does something"


def test_two_processes_give_the_gradient_of_one(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIENTS", str(tmp_path / "steps.pt"))
    monkeypatch.setattr(test_coupled, "Contrast", lambda: _loss("r_drop", "fgm"))
    monkeypatch.setattr(test_coupled, "_model", _model)
    one = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS)
    two = make_datamodule(tiny_model, tmp_path, global_batch_size=_ROWS, micro_batch_size=_ROWS // 2)
    expected, found = test_coupled._train(one, 1, 1, None), test_coupled._train(two, 1, 2, 100)
    assert len(expected) == len(found) == 3
    assert max(starmap(largest_difference, zip(expected, found, strict=True))) < 1e-6


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_validation_has_the_loss_alone(names: tuple[str, ...]) -> None:
    model, batch = _model().eval(), make_batch()
    objective, plain = _loss(*names), CrossEntropy(2, label_smoothing=0.1)
    found, expected = objective.eval()(model, batch), plain(_model().eval(), batch)
    assert model.calls == 1
    assert found.losses.keys() == expected.losses.keys()
    assert torch.equal(found.total, expected.total)
    assert objective.state_dict().keys() == plain.state_dict().keys(), "checkpoints do not know of it"


def test_r_drop_is_the_formula_of_torchs_own_parts() -> None:
    batch = make_batch()
    found = regularized(CrossEntropy(2), {"r_drop": RDrop(0.7)})(_model(), batch)
    model = _model()
    first, second = (model(batch)["logits"] for _ in range(2))
    losses = [F.cross_entropy(one, batch["labels"], reduction="none") for one in (first, second)]
    ways = [
        F.kl_div(one.log_softmax(-1), other.log_softmax(-1), reduction="none", log_target=True).sum(-1)
        for one, other in ((first, second), (second, first))
    ]
    torch.testing.assert_close(found.total, sum(losses) / 2 + 0.7 * sum(ways) / 2)
    assert found.losses["r_drop"].min() > 0
    torch.testing.assert_close(found.outputs["probabilities"], first.softmax(-1))


def test_r_drop_has_finite_gradients_where_a_probability_is_none() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    scales = iter([1.0, 0.5])
    outcome = regularized(CrossEntropy(2), _terms("r_drop"))(
        lambda batch: {"logits": logits * next(scales)}, {"labels": torch.tensor([1])}
    )
    outcome.total.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_fgm_moves_each_row_by_its_own_gradient() -> None:
    """Against a gradient of each row on its own."""
    batch, model = make_batch(), BagOfTokens()
    model.get_input_embeddings = lambda: model.embeddings  # type: ignore[operator, assignment]
    found = regularized(CrossEntropy(2), {"fgm": FGM(0.5)})(model, batch)
    mask = batch["attention_mask"][..., None].float()
    for row in range(_ROWS):
        vectors = model.embeddings(batch["input_ids"][row]).detach().requires_grad_()
        losses = []
        for moved in range(2):
            logits = model.head((vectors * mask[row]).sum(0) / mask[row].sum())
            losses.append(F.cross_entropy(logits, batch["labels"][row]))
            if not moved:
                (gradient,) = torch.autograd.grad(losses[0], vectors)
                vectors = vectors + 0.5 * gradient / gradient.norm()
        torch.testing.assert_close(found.losses["cross_entropy"][row], losses[0])
        torch.testing.assert_close(found.losses["fgm"][row], losses[1])
        assert losses[1] > losses[0]
    assert not model.embeddings._forward_hooks


@pytest.mark.parametrize("embeddings", ["all", "frozen"])
def test_fgm_of_packed_rows_is_that_of_padded_ones(tiny_model: str, embeddings: str) -> None:
    batch = short_batch() | {"labels": torch.tensor([0, 1, 1]), "row_weights": torch.ones(3)}
    found = []
    for attention in ("eager", "packed"):
        model = tiny_classifier(tiny_model, attention=attention, embeddings=embeddings).train()
        outcome = regularized(CrossEntropy(2), {"fgm": FGM(2.0)})(model, batch)
        outcome.total.sum().backward()
        grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((outcome.losses["fgm"], grads))
        assert (outcome.losses["fgm"] - outcome.losses["cross_entropy"]).min() > 1e-4
    torch.testing.assert_close(found[0][0], found[1][0])
    assert found[0][1].keys() == found[1][1].keys()
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(gradient, found[1][1][name], msg=name)


def test_fgm_refuses_embeddings_that_are_compiled(tiny_model: str) -> None:
    model = tiny_classifier(tiny_model).train()
    model.compile_parts(whole=True, backend="eager")
    with pytest.raises(UserError, match=r"trainer\.compile: found full.*set trainer\.compile=true"):
        regularized(CrossEntropy(2), {"fgm": FGM(1.0)})(model, short_batch())


def test_several_masks_are_the_mean_of_as_many_heads(tiny_model: str) -> None:
    model = tiny_classifier(tiny_model, dropout=0.3).train()
    batch = short_batch() | {"labels": torch.tensor([0, 1, 1])}
    passes: list[int] = []
    model.layers()[0].register_forward_pre_hook(lambda *_: passes.append(1))
    torch.manual_seed(5)
    found = regularized(CrossEntropy(2), _terms("multi"))(model, batch)
    assert len(passes) == 1, "the encoder runs once"
    torch.manual_seed(5)
    first = model(batch)
    logits = [first["logits"], *(model.head(first["embeddings"]) for _ in range(2))]
    assert all(not torch.equal(one, other) for one, other in pairwise(logits))
    losses = torch.stack([F.cross_entropy(one, batch["labels"], reduction="none") for one in logits])
    torch.testing.assert_close(found.total, losses.mean(0))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_is_the_formula(gamma: float) -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.1], [90.0, -90.0]], requires_grad=True)
    labels = torch.tensor([0, 1, 0])
    found = Focal(2, gamma, class_weights=[1.0, 3.0])(lambda batch: {"logits": logits}, {"labels": labels}).total
    p = logits.softmax(-1)[torch.arange(3), labels]
    torch.testing.assert_close(found, (1 - p).clamp(min=1e-6) ** gamma * -p.log())
    found.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_a_later_epoch_begins_with_the_first_of_its_batches() -> None:
    objective = regularized(CrossEntropy(2), {"fgm": FGM(0.5, from_epoch=2)})
    learner, trainer = type("Learner", (), {"objective": objective})(), type("Trainer", (), {"current_epoch": 1})()
    for epoch, names in ((1, {"cross_entropy"}), (2, {"cross_entropy", "fgm"})):
        trainer.current_epoch = epoch
        EpochOfLoss().on_train_batch_start(trainer, learner, None, 0)  # type: ignore[arg-type]
        assert objective(_model(), make_batch()).losses.keys() == names
    EpochOfLoss().on_train_batch_start(trainer, type("Learner", (), {"objective": CrossEntropy(2)})())  # type: ignore[arg-type]
    assert issubclass(EpochOfLoss, pl.Callback)


@pytest.mark.parametrize("size", [None, 3])
def test_r_drop_of_rows_that_are_compared(size: int | None) -> None:
    """Their vectors are computed once, whether or not the step is cut into chunks; the passes differ in the rest."""

    class Classes(Contrast):
        outputs = ("probabilities",)

    class Turned(Views):
        turns = 0

        def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            self.turns += 1
            outputs = super().forward(batch)  # the turns of a chunk: its vectors twice or once, then two passes
            return outputs | {"logits": outputs["logits"] * (0.5 if self.turns % 2 else 1.0)}

    torch.manual_seed(1)
    objective, model = regularized(Classes(), {"r_drop": RDrop(0.7)}), Turned()
    found = _gradients(model, objective, 1, None if size is None else size * 6)
    torch.manual_seed(1)
    other, batch = Views(), make_batch()
    total = Classes()(other, batch).losses["contrast"]
    logits = [other(batch)["logits"] * scale for scale in (0.5, 1.0)]
    p, q = (one.log_softmax(-1) for one in logits)
    total = total + sum(F.cross_entropy(one, batch["labels"], reduction="none") for one in logits) / 2
    total = total + 0.7 * ((p.exp() - q.exp()) * (p - q)).sum(-1) / 2
    ((total * batch["row_weights"]).sum() / _ROWS).backward()
    expected = {name: one.grad for name, one in other.named_parameters() if one.grad is not None}
    assert largest_difference(expected, found) < 1e-5


def test_a_copy_of_an_objective_has_terms_of_its_own() -> None:
    """As averaged weights are made."""
    objective = _loss("r_drop")
    other = copy.deepcopy(objective)
    other.eval()
    assert other(_model(), make_batch()).losses.keys() == {"cross_entropy"}
    assert objective(_model(), make_batch()).losses.keys() == {"cross_entropy", "r_drop"}


def _typed(*settings: str) -> Iterator[str]:
    node = with_arguments(compose("train", list(settings)), {"num_classes": 2})
    yield from node.get("regularizers", {})


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ((), []),
        (("regularizers.r_drop.alpha=1",), ["r_drop"]),
        (
            ("regularizers.fgm.epsilon=1", "regularizers.multi_sample_dropout.samples=5"),
            ["multi_sample_dropout", "fgm"],
        ),
        (("regularizers.fgm=null",), []),
        (("experiment=v3", "objective=focal", "regularizers.r_drop.alpha=1"), ["r_drop"]),
    ],
)
def test_what_is_typed_is_on_and_nothing_else(settings: tuple[str, ...], names: list[str]) -> None:
    assert list(_typed(*settings)) == names


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: RDrop(0), r"regularizers\.r_drop\.alpha: found 0, .*set regularizers\.r_drop\.alpha=1"),
        (lambda: FGM(-1), r"regularizers\.fgm\.epsilon: found -1.*set regularizers\.fgm\.epsilon=1"),
        (lambda: FGM(1, -1), r"regularizers\.fgm\.from_epoch: found -1.*=0"),
        (lambda: MultiSampleDropout(1), r"samples: found 1.*samples=5"),
        (lambda: Focal(2, -1), r"objective\.gamma: found -1.*set objective\.gamma=2"),
        (lambda: regularized(MeanSquaredError(), _terms("r_drop")), r"gives values.*alpha=null"),
        (lambda: regularized(Contrast(), _terms("fgm")), r"compares rows.*set regularizers\.fgm\.epsilon=null"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        make()
