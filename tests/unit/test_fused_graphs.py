"""Graphs of fused networks: what the encoders read are the inputs, and pictures are brought to the encoder's size."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lit_humor.exporters.onnx import OnnxModel, graph_inputs, save_onnx
from lit_humor.models.pretrained import load_tokenizer
from lit_humor.tasks.classification import Classification
from tests.unit.fusing import KINDS, make_model, make_network, make_pictures

TEXTS = ["the cat and the dog", "tea", "a train, a book and all of the rain"]


class _Rows:
    def __init__(self, pictures: np.ndarray) -> None:
        self.pictures = pictures

    def of_rows(self, rows: np.ndarray) -> np.ndarray:
        return self.pictures[rows]


@pytest.mark.parametrize(
    ("kind", "gate", "names"),
    [
        ("picture and text", "learned", ["input_ids", "attention_mask", "pictures"]),
        ("two pictures", "learned", ["pictures"]),
        ("text and picture", "first", ["input_ids", "attention_mask"]),
    ],
)
def test_a_graph_has_the_inputs_that_are_read(tmp_path: Path, kind: str, gate: Any, names: list[str]) -> None:
    network = make_network(make_model(tmp_path), KINDS[kind], gate=gate)
    assert list(graph_inputs(network, False, 16)) == names


def test_pictures_of_another_size_are_shrunk_as_by_the_network(tmp_path: Path) -> None:
    folder = make_model(tmp_path)
    network, tokenizer, pictures = make_network(folder), load_tokenizer(folder), make_pictures(3, 40)
    encoded = tokenizer(TEXTS, padding=True, return_tensors="pt")
    batch = {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"], "pictures": pictures}
    with torch.no_grad():
        expected = (network(batch)["logits"] / 2).softmax(dim=-1).numpy()
    form, inputs = Classification(("no", "yes", "both")).form, graph_inputs(network, False, 40)
    save_onnx(network, tokenizer, form, temperature=2.0, max_length=24, inputs=inputs, folder=tmp_path / "graph")
    found = OnnxModel(tmp_path / "graph").score(TEXTS, None, _Rows(pictures.numpy()))
    assert np.abs(found - expected).max() < 1e-5
