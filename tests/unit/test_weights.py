"""Starting from the weights of another run: of the same classes, of others, of another model."""

import json
from pathlib import Path

import pytest
import torch

from lit_humor.core.errors import UserError, one_line
from lit_humor.core.rows import TrainingRows
from lit_humor.engine.weights import load_initial_weights, load_weights
from lit_humor.learning.learner import Learner
from lit_humor.models.network import Network
from lit_humor.objectives.cross_entropy import CrossEntropy
from lit_humor.tasks.classification import Classification
from tests.unit.building import BagOfTokens, no_table

TINY = "{_target_: lit_humor.models.embedded.random_xlm_roberta, cache_dir: /elsewhere, vocab_size: 600, "
TINY += "hidden_size: 16, num_layers: 2, num_heads: 2, initializer_range: 0.1}"


def _learner(names: list[str], model: Network | None = None, counts: list[int] | None = None) -> Learner:
    objective = CrossEntropy(len(names), class_weights="balanced")
    objective.prepare(TrainingRows(torch.tensor(counts or range(1, len(names) + 1)).numpy()))
    return Learner(model or BagOfTokens(50, len(names)), objective, {"classification": Classification(names)})


def _run(folder: Path, learner: Learner, pretrained: str = TINY) -> Path:
    """What a run folder holds of its model."""
    for name in ("checkpoints", "backbone"):
        (folder / name).mkdir(parents=True)
    torch.save({"state_dict": learner.state_dict()}, folder / "checkpoints" / "best.ckpt")
    names = dict(enumerate(learner.tasks["classification"].class_names))
    (folder / "backbone" / "config.json").write_text(json.dumps({"model_type": "xlm-roberta", "id2label": names}))
    (folder / "config.yaml").write_text(f"model: {{pretrained: {pretrained}}}\n")
    return folder


CLASSES = {  # name: (classes there, classes here, which rows of the last layer are taken; None: it starts anew)
    "the same": (["no", "yes"], ["no", "yes"], [0, 1]),
    "three into two": (["no", "pun", "yes"], ["no", "yes"], None),
    "two into three": (["no", "yes"], ["no", "pun", "yes"], None),
    "as many others": (["serious", "sarcastic"], ["no", "yes"], None),
    "two in another order": (["yes", "no"], ["no", "yes"], [1, 0]),
    "three in another order": (["a", "b", "c"], ["c", "a", "b"], [2, 0, 1]),
    "other case": (["No", "Yes"], ["no", "yes"], None),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes_are_matched_by_name(tmp_path: Path, case: str) -> None:
    theirs, ours, rows = CLASSES[case]
    before, learner = _learner(theirs, counts=[7] * len(theirs)), _learner(ours)
    random, class_weights = learner.model.head.weight.clone(), learner.objective.class_weights.clone()
    told = load_initial_weights(learner, str(_run(tmp_path / "run", before)))
    assert told["checkpoint"] == str(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert told.get("anew") == (None if rows else "model.head")
    assert torch.equal(learner.model.embeddings.weight, before.model.embeddings.weight)
    assert torch.equal(learner.model.head.weight, before.model.head.weight[rows] if rows else random)
    if rows:
        assert torch.equal(learner.model.head.bias, before.model.head.bias[rows])
    assert torch.equal(learner.objective.class_weights, class_weights), "those of the rows that are trained on"


@pytest.mark.parametrize(("there", "anew"), [(2, None), (3, "model.head")])
def test_a_checkpoint_without_its_run_is_taken_by_the_number_of_classes(
    tmp_path: Path, there: int, anew: str | None
) -> None:
    path = _run(tmp_path / "run", _learner(["a", "b", "c"][:there])) / "checkpoints" / "best.ckpt"
    alone = path.rename(tmp_path / "alone.ckpt")
    assert load_initial_weights(_learner(["no", "yes"]), str(alone)).get("anew") == anew


class _Deeper(BagOfTokens):
    def __init__(self) -> None:
        super().__init__(50)
        self.layer = torch.nn.Linear(8, 8)


OTHERS = {  # name: (model there, model here, what is said)
    "more words": (BagOfTokens(60), BagOfTokens(50), "model.embeddings.weight has the shape [60, 8] there and [50, 8]"),
    "fewer words": (BagOfTokens(9), BagOfTokens(50), "model.embeddings.weight has the shape [9, 8] there and [50, 8]"),
    "a layer more": (_Deeper(), BagOfTokens(50), "model.layer.weight is there, but not here; 1 more do not fit"),
    "a layer less": (BagOfTokens(50), _Deeper(), "model.layer.weight is not there; 1 more do not fit"),
    "nothing in common": (torch.nn.ParameterDict({"x": torch.ones(1)}), BagOfTokens(50), "is not there; "),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_model_is_told_by_what_differs(tmp_path: Path, case: str) -> None:
    there, here, told = OTHERS[case]
    run = _run(tmp_path / "run", _learner(["no", "yes"], there))
    with pytest.raises(UserError) as error:
        load_initial_weights(_learner(["no", "yes"], here), str(run))
    assert str(error.value).startswith(f"init_from={run}: found weights of another model (model.")
    assert told in str(error.value)
    assert "Fix: set model=tiny." in str(error.value), "the choice that this folder's configuration comes from"
    with pytest.raises(UserError) as error:
        load_weights(_learner(["no", "yes"], here), run / "checkpoints" / "best.ckpt", no_table)
    assert told in str(error.value)
    assert f"Fix: set run={run}." in str(error.value)


@pytest.mark.parametrize(
    ("pretrained", "fix"),
    [
        (TINY, "set model=tiny"),
        ("FacebookAI/xlm-roberta-base", "set model=xlmr_base"),
        ("{_target_: lit_humor.models.embedded.packaged_minilm}", "set model=minilm"),
        ("/models/mine", "set model.pretrained=/models/mine"),
        ("{_target_: mine.make}", "config.yaml has it"),
    ],
)
def test_the_fix_names_the_setting_of_that_model(tmp_path: Path, pretrained: str, fix: str) -> None:
    run = _run(tmp_path / "run", _learner(["no", "yes"]), pretrained)
    with pytest.raises(UserError, match=fix):
        load_initial_weights(_learner(["no", "yes"], BagOfTokens(9)), str(run))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Error(s) in loading Model:\n\tsize mismatch for x", "Error(s) in loading Model: size mismatch for x"),
        ("\n\nno such host\n", "no such host"),
        ("\x1b[1mbold\x1b[0m and \x1b[31;1mred\x1b[m.", "bold and red"),
        ("", "ValueError"),
        ("word " * 100, "word " * 39 + "word…"),
    ],
)
def test_an_error_of_a_library_in_one_line(text: str, line: str) -> None:
    assert one_line(ValueError(text)) == line
