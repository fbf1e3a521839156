"""An adapter learns alone, is saved alone, and belongs to the weights that it was trained beside."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from lit_humor.core.errors import MissingExtraError, UserError
from lit_humor.models.adapters import AdapterSettings, add_adapter
from lit_humor.models.pretrained_vision import PretrainedVisionLanguage
from lit_humor.models.vision_language import VisionLanguage
from tests.unit.seeing import LORA_4, adapted, make_batch, make_model, make_network

pytestmark = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="needs the extra qlora")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_model(tmp_path_factory.mktemp("model"))


def _logits(network: VisionLanguage) -> Tensor:
    with torch.no_grad():
        return network(make_batch())["answer_logits"]


def test_only_the_attention_of_the_language_model_learns(folder: str) -> None:
    network = make_network(folder, adapter=LORA_4)
    learning = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert learning == {
        f"lm.model.language_model.layers.{layer}.self_attn.{part}_proj.lora_{half}.default.weight"
        for layer in range(2)
        for part in "qkvo"
        for half in "AB"
    }
    assert torch.equal(_logits(network), _logits(make_network(folder, adapter={**LORA_4, "alpha": 100}))), "B is zero"
    assert (_logits(adapted(folder)) - _logits(network)).abs().max() > 1e-2
    dropped = [module.p for name, module in network.named_modules() if name.endswith("lora_dropout.default")]
    assert dropped == [0.05] * 8


def test_what_is_added_is_alpha_over_rank_times_the_product(folder: str) -> None:
    network = adapted(folder)
    layer = network.lm.model.language_model.layers[0].self_attn.q_proj
    states = torch.randn(3, 32)
    low = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    expected = states @ (layer.base_layer.weight + 8 / 4 * low).T
    assert (layer(states) - expected).abs().max() < 1e-5


def test_the_frozen_weights_stay_in_the_type_of_their_files(folder: str, tmp_path: Path) -> None:
    half = tmp_path / "half"
    Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(half)
    network = make_network(str(half), adapter=LORA_4)
    kinds = {name: parameter.dtype for name, parameter in network.named_parameters()}
    assert {kind for name, kind in kinds.items() if "lora_" in name} == {torch.float32}
    assert {kind for name, kind in kinds.items() if "lora_" not in name} == {torch.bfloat16}
    assert {p.dtype for p in make_network(str(half)).parameters()} == {torch.float32}, "all weights learn"
    network(make_batch())["answer_logits"].float().sum().backward()
    assert sum(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters()) == 16


def test_a_new_adapter_follows_the_seed(folder: str) -> None:
    first, same = (make_network(folder, adapter=LORA_4).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    torch.manual_seed(3)
    other = VisionLanguage(folder, adapter=LORA_4).state_dict()
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_state_is_the_adapter_and_the_hash_of_the_rest(folder: str) -> None:
    network = adapted(folder)
    state = network.state_dict()
    assert len(state) == 17
    assert state["base"].shape == (32,)
    assert sum(value.numel() * value.element_size() for value in state.values()) < 2**20
    other = make_network(folder, adapter=LORA_4)
    other.load_state_dict(state)
    assert torch.equal(_logits(other), _logits(network))
    for name in state:
        with pytest.raises(RuntimeError, match="Missing key"):
            other.load_state_dict({key: value for key, value in state.items() if key != name})
    frozen = "lm.model.language_model.norm.weight"
    with pytest.raises(RuntimeError, match=rf"Unexpected key.*{frozen}"):
        other.load_state_dict(state | {frozen: torch.ones(32)})


def _other_base(folder: str, tmp_path: Path) -> str:
    """The same model with one other number."""
    copy = tmp_path / "other"
    Qwen3VLForConditionalGeneration.from_pretrained(folder).save_pretrained(copy)
    weights = load_file(copy / "model.safetensors")
    weights["model.language_model.norm.weight"][0] += 1e-3
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return str(copy)


def test_another_base_is_refused(folder: str, tmp_path: Path) -> None:
    state = adapted(folder).state_dict()
    with pytest.raises(RuntimeError, match="the adapter was trained on another model than"):
        make_network(_other_base(folder, tmp_path), adapter=LORA_4).load_state_dict(state)


def test_without_weights_the_base_is_loaded_when_it_is_asked_for(folder: str, tmp_path: Path) -> None:
    trained = adapted(folder)
    PretrainedVisionLanguage(folder).save(tmp_path, trained.config, ())
    network = VisionLanguage(str(tmp_path), adapter=LORA_4, with_weights=False)
    network.load_kept_out(lambda: PretrainedVisionLanguage(folder))
    network.load_state_dict(trained.state_dict())
    assert torch.equal(_logits(network.eval()), _logits(trained))
    assert folder in (tmp_path / "base.json").read_text()


def test_all_weights_need_no_base(folder: str, tmp_path: Path) -> None:
    trained = make_network(folder)
    PretrainedVisionLanguage(folder).save(tmp_path, trained.config, ())
    network = VisionLanguage(str(tmp_path), with_weights=False)
    network.load_kept_out(lambda: pytest.fail("not asked for"))
    network.load_state_dict(trained.state_dict(), assign=True)
    assert torch.equal(_logits(network.eval()), _logits(trained))


@pytest.mark.parametrize(
    ("adapter", "told"),
    [
        (
            {"rank": 0},
            r"model\.network\.adapter\.rank: found 0, expected at least 1.*set model\.network\.adapter\.rank=4",
        ),
        ({"alpha": 0}, r"adapter\.alpha=8"),
        ({"dropout": 1}, r"adapter\.dropout=0\.05"),
        ({"ranks": 4}, r"adapter\.ranks: found 4, expected only rank, alpha, dropout, targets"),
        ({"targets": "nothing"}, "means no layer"),
        ({"targets": "(q"}, "expected a regular expression"),
        ({"targets": r".*\.(qkv|q_proj)"}, r"means model\.visual\.blocks\.0\.attn\.qkv"),
    ],
)
def test_settings_that_mean_nothing_are_refused(folder: str, adapter: Any, told: str) -> None:
    with pytest.raises(UserError, match=told):
        make_network(folder, adapter=adapter)


def test_a_missing_package_is_named(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(
        MissingExtraError, match=r"no package 'peft' .* pip install -c constraints.txt -e '\.\[qlora\]'"
    ):
        make_network(folder, adapter=LORA_4)


# Sizes of Qwen3-VL-8B-Instruct as its config.json on the hub has them, typed from memory of the public file and
# checked by the count of parameters that is told of it, 8.77e9.
TEXT_8B = {
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
VISION_8B = {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16,
    "out_hidden_size": 4096, "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24],
}  # fmt: skip


def test_the_adapter_of_the_real_size_has_the_known_number_of_parameters() -> None:
    """3,833,856: 36 layers of 4 x (2 x (4096 + 4096) + 2 x (4096 + 1024))."""
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=TEXT_8B, vision_config=VISION_8B))
        assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(8.767e9, rel=1e-3)
        model.requires_grad_(False)
        add_adapter(model, AdapterSettings())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in learning) == 3_833_856
    assert len(learning) == 36 * 4 * 2
