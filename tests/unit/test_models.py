import importlib.util
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoModel, BertConfig, DistilBertConfig

from lit_humor.config.command import compose
from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.engine.factory import open_pretrained, resolve_pretrained
from lit_humor.models import embedded, pretrained
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.pooling import first_token, mean_of_tokens
from lit_humor.models.pretrained import Pretrained, load_tokenizer
from lit_humor.models.rates import set_dropout


def _batch(width: int = 6) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.randint(5, 50, (2, width)), "attention_mask": torch.ones(2, width, dtype=torch.long)}


def test_tiny_is_a_local_folder_in_the_hubs_format(tiny_model: str) -> None:
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in Path(tiny_model).iterdir()}
    model = TextClassifier(tiny_model, 2).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) < 40_000
    assert model.config.model_type == "xlm-roberta"
    assert load_tokenizer(tiny_model).pad_token_id == 1
    outputs = model(_batch())
    assert outputs["logits"].shape == (2, 2)
    assert outputs["embeddings"].shape == (2, 16)


def test_weights_are_those_of_the_folder(tiny_model: str) -> None:
    saved = AutoModel.from_pretrained(tiny_model).state_dict()["encoder.layer.1.output.dense.weight"]
    loaded = TextClassifier(tiny_model, 2).state_dict()
    assert torch.equal(loaded["backbone.encoder.layer.1.output.dense.weight"], saved)


@pytest.mark.parametrize("attention", ["sdpa", "eager", "packed"])
def test_an_encoder_without_values_is_the_same_once_it_has_them(tiny_model: str, attention: str) -> None:
    """Buffers that no checkpoint holds (positions) have their values from the start."""
    full = TextClassifier(tiny_model, 2, attention=attention, short_last_layer=True).eval()
    blank = TextClassifier(tiny_model, 2, attention=attention, short_last_layer=True, with_weights=False).eval()
    assert all(one.is_meta for one in blank.backbone.parameters())
    state = {name: value.clone() for name, value in full.state_dict().items()}
    blank.load_state_dict(state, assign=True)
    assert not [name for name, one in (*blank.named_parameters(), *blank.named_buffers()) if one.is_meta]
    buffers = dict(full.named_buffers())
    assert {name for name, _ in blank.named_buffers()} == buffers.keys()
    assert all(torch.equal(one, buffers[name]) for name, one in blank.named_buffers())
    batch = _batch(9)
    with torch.inference_mode():
        assert torch.equal(blank(batch)["logits"], full(batch)["logits"])


class _Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        self.second.weight = self.first.weight


class _Derived(_Tied):
    """Keeps something that is computed from a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("doubled", self.first.weight.detach() * 2, persistent=False)


class _Asking(_Tied):
    """Reads the value of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.is_positive = bool(self.first.weight.sum() > 0)


def test_values_that_an_encoder_needs_to_be_built_are_there() -> None:
    tied: Any = pretrained._without_values(_Tied)  # type: ignore[arg-type]
    assert tied.first.weight.is_meta
    assert tied.first.weight is tied.second.weight
    for kind in (_Derived, _Asking):
        made: Any = pretrained._without_values(kind)  # type: ignore[arg-type]
        assert not any(one.is_meta for one in (*made.parameters(), *made.buffers()))
    assert not torch.nn.Linear(2, 2).weight.is_meta, "behind it everything is as before"


def test_padding_does_not_change_the_scores(tiny_model: str) -> None:
    for pooling in ("first", "mean"):
        model = TextClassifier(tiny_model, 2, pooling=pooling).eval()
        short = _batch()
        wide = {
            "input_ids": torch.nn.functional.pad(short["input_ids"], (0, 5), value=1),
            "attention_mask": torch.nn.functional.pad(short["attention_mask"], (0, 5)),
        }
        assert torch.allclose(model(short)["logits"], model(wide)["logits"], atol=1e-5), pooling


def test_dropout_reaches_every_layer(tiny_model: str) -> None:
    model = TextClassifier(tiny_model, 2, dropout=0.3, attention_dropout=0.2)
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates <= {0.3, 0.2}
    assert model.config.attention_probs_dropout_prob == 0.2


def test_encoder_without_a_dropout_rate_is_refused() -> None:
    with pytest.raises(UserError, match=r"model.network.dropout: found 0.1, but no such rate in strange"):
        set_dropout(SimpleNamespace(model_type="strange"), "dropout", ("hidden_dropout_prob", "dropout"), 0.1)


def test_poolings() -> None:
    hidden = torch.arange(12.0).view(1, 3, 4)
    mask = torch.tensor([[1, 1, 0]])
    assert torch.equal(first_token(hidden, mask), hidden[:, 0])
    assert torch.equal(mean_of_tokens(hidden, mask), hidden[:, :2].mean(1))


@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_depths_of_any_encoder(tmp_path: Path, family: str) -> None:
    config = {
        "bert": BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8
        ),
        "distilbert": DistilBertConfig(vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=8),
    }[family]
    AutoModel.from_config(config).save_pretrained(tmp_path)
    model = TextClassifier(str(tmp_path), 2, dropout=0.3)
    assert 0.3 in {module.p for module in model.backbone.modules() if isinstance(module, torch.nn.Dropout)}
    depths = model.parameter_depths()
    assert set(depths.values()) == {0, 1, 2, 3, 4}
    assert all(depth == 4 for name, depth in depths.items() if name.startswith("head."))
    assert all(depth == 0 for name, depth in depths.items() if "embeddings" in name)


def test_the_tiny_model_is_the_same_wherever_it_is_made(tiny_model: str, tmp_path: Path) -> None:
    again = resolve_pretrained(compose("train", ["model=tiny", f"paths.cache_dir={tmp_path}"])).name
    assert again != tiny_model
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        assert (Path(again) / name).read_bytes() == (Path(tiny_model) / name).read_bytes(), name


def test_longest_input(tiny_model: str, tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    assert Pretrained(tiny_model).longest_input == 512
    assert Pretrained(str(tmp_path)).longest_input == 512


def test_a_model_is_loaded_from_what_it_left_in_a_run_folder(tiny_model: str, tmp_path: Path) -> None:
    """Its own rates and the names of the classes, and each of its parts once."""
    model, pretrained = TextClassifier(tiny_model, 2, dropout=0.3), Pretrained(tiny_model)
    assert not vars(pretrained).keys() - {"name"}, "nothing is loaded before it is asked for"
    pretrained.save(tmp_path / "backbone", model.config, ("no", "yes"))
    again = Pretrained(str(tmp_path / "backbone"))
    assert again.config.hidden_dropout_prob == 0.3
    assert again.config.id2label == {0: "no", 1: "yes"}
    assert again.tokenizer("a joke")["input_ids"] == pretrained.tokenizer("a joke")["input_ids"]
    assert again.tokenizer is again.tokenizer
    assert pretrained.checkpoint_bytes() == again.checkpoint_bytes() > 4 * sum(p.numel() for p in model.parameters())


def test_a_network_names_what_it_is_loaded_from(tiny_model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(Pretrained):
        """Reads texts of any length."""

        longest_input = 10**6  # type: ignore[assignment]

    cfg = compose("train", ["model=tiny", "data.max_length=600"])
    with pytest.raises(UserError, match=r"data\.max_length: found 600, expected at most 512"):
        open_pretrained(cfg, tiny_model)
    monkeypatch.setattr(TextClassifier, "loaded_from", Patient)
    assert type(open_pretrained(cfg, tiny_model)) is Patient


def test_hub_out_of_reach_names_the_ways_out() -> None:
    with pytest.raises(UserError) as caught:
        TextClassifier("nobody/no-such-model", 2)
    for way in ("HF_HOME", "hf download nobody/no-such-model", "model=minilm"):
        assert way in str(caught.value)


def test_broken_folder_is_one_error(tiny_model: str, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="a folder that does not load"):
        TextClassifier(str(tmp_path / "broken"), 2)


def test_packaged_minilm_is_checked_and_its_code_never_imported() -> None:
    if importlib.util.find_spec(embedded.MINILM_PACKAGE) is None:
        pytest.skip("the demo extra is not installed")
    folder = embedded.packaged_minilm()
    assert (Path(folder) / "tokenizer.json").is_file()
    assert embedded.MINILM_PACKAGE not in sys.modules


def test_other_weights_than_the_official_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "fake_minilm"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model" / "model.safetensors").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(embedded, "MINILM_PACKAGE", "fake_minilm")
    with pytest.raises(UserError, match="sha256"):
        embedded.packaged_minilm()
    monkeypatch.setattr(embedded, "MINILM_PACKAGE", "no_such_package")
    with pytest.raises(MissingExtraError, match="demo"):
        embedded.packaged_minilm()
