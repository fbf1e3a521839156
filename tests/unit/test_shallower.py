"""An encoder with some layers of another: the same layers, in order."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, BertConfig, BertModel, ModernBertConfig, ModernBertModel, PreTrainedModel

from lit_humor.core.errors import UserError
from lit_humor.models import shallower
from lit_humor.models.pretrained import Pretrained, find_layers

SMALL: dict[str, Any] = {"vocab_size": 600, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
ENCODERS = {
    "bert": lambda: BertModel(BertConfig(**SMALL, num_hidden_layers=5, pad_token_id=1)),
    "modernbert": lambda: ModernBertModel(
        ModernBertConfig(**SMALL, num_hidden_layers=4, pad_token_id=1, cls_token_id=0, sep_token_id=2)
    ),
}


def _saved(tiny_model: str, folder: Path, encoder: PreTrainedModel) -> str:
    encoder.save_pretrained(folder)
    Pretrained(tiny_model).tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("kind", ENCODERS)
def test_every_second_layer(kind: str, tiny_model: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = ENCODERS[kind]().half()
    folder = shallower.every_nth_layer(_saved(tiny_model, tmp_path / kind, whole), 2, str(tmp_path / "cache"))
    half = AutoModel.from_pretrained(folder, dtype="auto")
    assert half.dtype == torch.float16, "no larger on the disk than it was"
    layers, kept = find_layers(whole, whole.config), find_layers(half, half.config)
    assert len(kept) == half.config.num_hidden_layers == (3 if kind == "bert" else 2)
    for index, layer in enumerate(kept):
        of_whole = layers[2 * index].state_dict()
        assert all(torch.equal(value, of_whole[name]) for name, value in layer.state_dict().items())
    if kind == "modernbert":
        assert half.config.layer_types == whole.config.layer_types[::2]
    assert torch.equal(half.get_input_embeddings().weight, whole.get_input_embeddings().weight)
    assert Pretrained(folder).tokenizer("ha ha").input_ids == Pretrained(tiny_model).tokenizer("ha ha").input_ids


def test_it_is_made_once_and_anew_for_other_weights(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _saved(tiny_model, tmp_path / "bert", ENCODERS["bert"]())
    first = shallower.every_nth_layer(source, 2, str(tmp_path / "cache"))
    assert shallower.every_nth_layer(source, 3, str(tmp_path / "cache")) != first
    monkeypatch.setattr(shallower, "_write", None)
    assert shallower.every_nth_layer(source, 2, str(tmp_path / "cache")) == first
    monkeypatch.undo()
    ENCODERS["bert"]().save_pretrained(source)
    assert shallower.every_nth_layer(source, 2, str(tmp_path / "cache")) != first


@pytest.mark.parametrize("every", [0, 6])
def test_too_few_layers(every: int, tiny_model: str, tmp_path: Path) -> None:
    source = _saved(tiny_model, tmp_path / "bert", ENCODERS["bert"]())
    with pytest.raises(UserError, match="expected 1 to 5, the layers of the encoder"):
        shallower.every_nth_layer(source, every, str(tmp_path / "cache"))
