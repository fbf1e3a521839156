"""How much each training row counts: read from a column, multiplied into the loss."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.data.batches.batching import Collator
from lit_humor.data.sources.files import TextFiles
from lit_humor.learning.step import OptimizerStep
from lit_humor.objectives.cross_entropy import CrossEntropy
from tests.unit.building import BagOfTokens, largest_difference, make_collator, make_datamodule, make_examples


def _file(folder: Path, *weights: str) -> str:
    path = folder / "rows.csv"
    path.write_text("\n".join(["text,label,weight", *(f"text {i},{i % 2},{one}" for i, one in enumerate(weights))]))
    return str(path)


def test_weights_are_read_and_taken_with_the_rows(tmp_path: Path) -> None:
    examples = TextFiles(train_path=_file(tmp_path, "1", "0.25", "3"), weight_column="weight").load()["train"]
    assert examples.weights is not None
    assert examples.weights.tolist() == [1, 0.25, 3]
    assert examples.take([2, 0]).weights.tolist() == [3, 1]  # type: ignore[union-attr]
    assert TextFiles(train_path=_file(tmp_path, "1", "2")).load()["train"].weights is None


@pytest.mark.parametrize("wrong", ["0", "-1", "much", ""])
def test_a_weight_is_a_number_above_0(wrong: str, tmp_path: Path) -> None:
    source = TextFiles(train_path=_file(tmp_path, "1", wrong), weight_column="weight")
    with pytest.raises(UserError, match=r"line 3, column 'weight': found .*, expected a number above 0"):
        source.load()


def test_a_row_of_weight_2_counts_as_two_rows() -> None:
    plain = make_collator([4, 6, 5])
    labels = np.array([0, 1, 1])

    def gradient(rows: list[int], weights: list[float] | None) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model = BagOfTokens()
        given = None if weights is None else np.array(weights)
        batch: Any = Collator(plain.prepared, labels, plain.slices, weights=given)(rows)
        step = OptimizerStep(model, CrossEntropy(2, label_smoothing=0.1), 8)
        step.backward(step.loss(batch))
        assert step.totals[1] == (len(rows) if weights is None else sum(weights))
        return {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}

    assert largest_difference(gradient([0, 1, 1, 2], None), gradient([0, 1, 2], [1, 2, 1])) < 1e-6
    assert largest_difference(gradient([0, 1, 2], None), gradient([0, 1, 2], [1, 2, 1])) > 1e-3


def test_batches_of_the_data_module_have_them(tiny_model: str, tmp_path: Path) -> None:
    weights = np.linspace(0.1, 2, 44)
    splits = {"train": make_examples(44, weights=weights), "val": make_examples(21, seed=1)}
    datamodule = make_datamodule(tiny_model, tmp_path, splits=splits)
    datamodule.setup()
    weights = datamodule.splits["train"].weights  # type: ignore[assignment]  # without those of the test split
    assert 30 < len(weights) < 44
    for batch in datamodule.train_dataloader():
        assert batch["row_weights"].tolist() == pytest.approx(weights[batch["rows"].numpy()].tolist())
    assert all((batch["row_weights"] == 1).all() for batch in datamodule.val_dataloader())
