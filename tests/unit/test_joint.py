"""A joint loss reads what the model gives for a batch once, and its parts get the arguments that they take."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_humor.config.command import compose
from lit_humor.config.frozen import changed
from lit_humor.config.parts import with_arguments
from lit_humor.core.errors import UserError
from lit_humor.engine.configuration import validate
from lit_humor.models.fused import Fused
from lit_humor.models.network import Network
from lit_humor.objectives.contrastive import Contrastive
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.objectives.joint import Joint
from lit_humor.objectives.language_modeling import LanguageModeling
from lit_humor.objectives.objective import Model, Outcome, Shared
from lit_humor.tasks.answers import joined_answers, own_columns
from lit_humor.tasks.reports.scored import ScoredRun
from tests.unit.fusing import gradients_of, make_batch, make_model, make_network

FACTORS = {"classes": 1.0, "words": 0.5}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Fused:
    return make_network(make_model(tmp_path_factory.mktemp("model"))).train()  # its rates of dropout are 0


class Counting:
    """A model that counts its calls."""

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, 0

    def __call__(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.calls += 1
        return self.model(batch)


def _batch() -> dict[str, Tensor]:
    return make_batch() | {"labels": torch.tensor([0, 2, 1]), "writing_weights": torch.tensor([1.0, 0, 1])}


def test_one_pass_has_the_losses_and_gradients_of_two(network: Fused) -> None:
    parts, counting = {"classes": CrossEntropy(3), "words": LanguageModeling()}, Counting(network)
    joint: Outcome = Joint(parts, FACTORS)(counting, _batch())
    assert counting.calls == 1
    assert joint.losses["language_modeling"][1] == 0
    found = gradients_of(network, joint.total.sum())
    alone = [FACTORS[name] * part(counting, _batch()).total for name, part in parts.items()]
    assert counting.calls == 3
    assert torch.allclose(joint.total, sum(alone))  # type: ignore[arg-type]
    expected = gradients_of(network, sum(alone).sum())  # type: ignore[union-attr]
    assert found.keys() == expected.keys() == {name for name, _ in network.named_parameters()}
    assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in found)


def test_other_tensors_are_another_pass() -> None:
    """Texts that are embedded are not computed for what is written, nor the other way round."""
    ids = torch.tensor([[3, 4], [1, 2]])
    keys = {"query_ids": ids, "passage_ids": ids[:, None], "text_keys": torch.arange(4).reshape(2, 2)}
    written = {"prompt_ids": ids, "answer_ids": ids, "answer_mask": torch.ones_like(ids)}
    weights = {f"{name}_weights": torch.ones(2) for name in ("embedding", "writing", "row")}
    seen: list[set[str]] = []

    def model(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seen.append(set(batch))
        vectors = nn.functional.normalize(torch.ones(2, 1, 3), dim=-1)
        return {"query_embeddings": vectors[:, 0], "passage_embeddings": vectors, "answer_logits": torch.zeros(2, 2, 5)}

    Joint({"near": Contrastive(), "next": LanguageModeling()})(model, keys | written | weights)
    assert len(seen) == 2
    assert not seen[0] & {"answer_ids", "prompt_ids"}
    assert not seen[1] & {"query_ids", "passage_ids"}


class Later(CrossEntropy):
    """One that has the model read other labels, under the same name."""

    def forward(self, model: Model, batch: Mapping[str, Tensor], shared: Shared | None = None) -> Outcome:
        return Outcome({"later": model({"labels": batch["labels"] + 1})["logits"][:, 0]})


def test_equal_names_are_not_equal_tensors() -> None:
    counting = Counting(lambda batch: {"logits": batch["labels"][:, None].float().expand(-1, 2)})
    outcome = Joint({"now": CrossEntropy(2), "later": Later(2)})(counting, {"labels": torch.tensor([0, 1])})
    assert outcome.losses["later"].tolist() == [1, 2]
    assert counting.calls == 2


def test_a_batch_is_forgotten_with_its_loss() -> None:
    counting = Counting(lambda batch: {"logits": batch["labels"][:, None].float().expand(-1, 2)})
    joint = Joint({"classes": CrossEntropy(2)})
    for labels in ([0, 1], [1, 1]):
        joint(counting, {"labels": torch.tensor(labels)})
    assert counting.calls == 2


def test_writing_needs_a_network_that_writes() -> None:
    batch = {"answer_ids": torch.zeros(1, 1, dtype=torch.int64), "answer_mask": torch.ones(1, 1)}
    with pytest.raises(UserError, match=r"^model\.network\.decoder_layers: found 0.*set .*decoder_layers=3"):
        LanguageModeling()(lambda batch: {"logits": torch.zeros(1, 2)}, batch)


def test_each_part_gets_the_arguments_that_it_takes() -> None:
    cfg = compose(
        "train", ["family=gritlm", "+objective.parts.classes={_target_: X}", "objective.parts.contrastive=null"]
    )
    cfg = changed(cfg, {"objective.parts.classes._target_": "lit_humor.objectives.cross_entropy.CrossEntropy"})
    node = with_arguments(cfg, {"num_classes": 4})
    assert node.parts.classes.num_classes == 4
    assert "num_classes" not in node
    assert "num_classes" not in node.parts.language_modeling
    assert with_arguments(compose("train", []), {"num_classes": 3}).num_classes == 3


FUSED = "model=fused_tiny"


@pytest.mark.parametrize(
    ("typed", "found", "expected", "fix"),
    [
        (("model=gritlm_tiny",), "GritLM, which gives query_embeddings", "logits, for class", "family=classifier"),
        (("family=gritlm", "model=tiny"), "TextClassifier, which gives logits", "query_embeddings", "family=gritlm"),
        (("family=gritlm", FUSED), "Fused, which gives .*logits, answer_logits", "query_embeddings", "task=generation"),
    ],
)  # fmt: skip
def test_a_network_that_gives_too_little_is_refused(
    typed: tuple[str, ...], found: str, expected: str, fix: str
) -> None:
    with pytest.raises(
        UserError, match=rf"^model\.network: found {found}.*expected one that gives {expected}"
    ) as error:
        validate(compose("train", list(typed)))
    assert f"set {fix}" in error.value.fix
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("task", ["classification", "generation", "regression"])
def test_a_network_with_head_and_writer_serves_each_task(task: str) -> None:
    loss = {"regression": "objective=mean_squared_error"}.get(task, f"task={task}")
    validate(compose("train", [FUSED, f"task={task}", loss]))


def test_a_network_gives_logits_unless_it_says_otherwise() -> None:
    assert Network.gives == ("logits",)


def test_each_task_finds_its_own_columns() -> None:
    joined = joined_answers({"classification": {"prediction": ["humor"]}, "generation": {"prediction": ["ha"]}})
    assert joined == {"prediction": ["humor"], "generation_prediction": ["ha"]}
    seen = {"predictions": {"val": joined}, "results": {}, "baselines": {}, "origins": {}}
    run = ScoredRun(**seen)  # type: ignore[arg-type]
    assert run.of_task("classification").predictions["val"]["prediction"] == ["humor"]
    assert run.of_task("generation").predictions["val"]["prediction"] == ["ha"]
    assert own_columns("embedding", joined) == joined


def test_a_head_is_built_where_a_task_reads_it(tmp_path: Path) -> None:
    from lit_humor.tasks.classification import Classification
    from lit_humor.tasks.generation import Generation

    assert Classification(("no", "yes")).network_arguments == {"num_classes": 2}
    assert Generation(class_names=("no", "yes")).network_arguments == {}
    assert Generation(class_names=("no", "yes")).objective_arguments == {"num_classes": 2}
