"""Random vision-language models of published sizes: their numbers, and that a small one is read and trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from safetensors import safe_open

from lit_humor.config.command import compose
from lit_humor.models.adapters import ATTENTION, add_adapter, read_adapter
from lit_humor.models.pretrained import load_tokenizer
from lit_humor.models.random_vision_language import build_qwen3_vl, sized_qwen3_vl
from lit_humor.models.vision_language import VisionLanguage
from tests.unit.seeing import LORA_4, make_batch

TEXT = {"vocab_size": 900, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
TEXT |= {"num_key_value_heads": 1, "head_dim": 16, "intermediate_size": 64}
TEXT["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}
VISION = {"depth": 2, "hidden_size": 24, "num_heads": 2, "intermediate_size": 48, "patch_size": 8}
VISION |= {"out_hidden_size": 32, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
SIZES: dict[str, Any] = {"num_pieces": 300, "tied": False, "text": TEXT, "vision": VISION}


@pytest.mark.parametrize(
    ("model", "parameters", "adapter"),
    [("qwen3_vl_8b_random", 8_767_123_696, 3_833_856), ("qwen3_vl_2b_random", 2_127_532_032, 1_605_632)],
)
def test_sizes_are_those_that_are_published(model: str, parameters: int, adapter: int) -> None:
    pytest.importorskip("peft", reason="needs the extra qlora")
    cfg = compose("train", ["family=vlm", f"model={model}"])
    sizes: Any = OmegaConf.to_container(cfg.model.pretrained)
    assert cfg.model.network.quantization == "nf4"
    assert cfg.model.network.adapter.targets == ATTENTION
    with torch.device("meta"):
        network = build_qwen3_vl(sizes["text"], sizes["vision"], tied=sizes["tied"])
        assert sum(one.numel() for one in network.parameters()) == parameters
        settings = read_adapter(OmegaConf.to_container(cfg.model.network.adapter))  # type: ignore[arg-type]
        assert settings is not None
        add_adapter(network, settings)
    assert sum(one.numel() for one in network.parameters() if one.requires_grad) == adapter


def test_a_folder_is_made_once_in_bf16_with_more_words_than_its_tokenizer_knows(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs the extra qlora")
    folder = sized_qwen3_vl(str(tmp_path), **SIZES)
    node = OmegaConf.create(SIZES)
    assert sized_qwen3_vl(str(tmp_path), **{str(name): node[name] for name in node}) == folder, "a node is a mapping"
    assert sized_qwen3_vl(str(tmp_path), **(SIZES | {"tied": True})) != folder
    with safe_open(Path(folder) / "model.safetensors", "pt") as weights:
        assert weights.get_tensor("lm_head.weight").shape == (900, 32)
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert len(load_tokenizer(folder)) == 300
    network = VisionLanguage(folder, adapter=LORA_4)
    batch = make_batch(words=[[270], [271], [272], [273]], answers=[[280, 2]] * 4)
    batch["input_ids"] = batch["input_ids"].clamp(max=299)
    network(batch)["answer_logits"].float().logsumexp(-1).sum().backward()
    gradients = [one.grad for one in network.parameters() if one.requires_grad]
    assert all(one is not None and one.isfinite().all() for one in gradients)
