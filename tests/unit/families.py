"""Families of encoders: a small random one of each, as a folder in the hub's format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    EuroBertConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    XLMRobertaConfig,
    XLMRobertaXLConfig,
)

NUM_LAYERS = 2
_SIZES = {"hidden_size": 16, "num_hidden_layers": NUM_LAYERS, "num_attention_heads": 2, "intermediate_size": 32}
_TOKENS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}  # those of the tokenizer
_LAST = ("model.network.pooling=last", "model.network.dropout=null")
_DEBERTA = {"relative_attention": True, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0}
_DEBERTA |= {"pos_att_type": ["p2c", "c2p"], "share_att_key": True, "position_biased_input": False}
_MODERN = {"local_attention": 16, "global_attn_every_n_layers": 2, "cls_token_id": 0, "sep_token_id": 2}


@dataclass(frozen=True)
class Family:
    """An architecture.

    Attributes:
        kind: Class of its configuration.
        sizes: What its small model has.
        settings: What has to be set for it.
        longest: Most tokens of a row.
        packs: Whether ``trainer.attention=packed`` works.
        exports: Formats of ``export.py``.
        depth: The greatest depth of its layers.
        checkpoints: Whether ``model.network.gradient_checkpointing`` works.
    """

    kind: type[PretrainedConfig]
    sizes: dict[str, Any]
    settings: tuple[str, ...] = ()
    longest: int = 512
    packs: bool = False
    exports: tuple[str, ...] = ("onnx",)
    depth: int = NUM_LAYERS
    checkpoints: bool = True

    @property
    def network(self) -> dict[str, Any]:
        """The settings, as arguments of the network."""
        pairs = (one.removeprefix("model.network.").split("=") for one in self.settings)
        return {name: None if value == "null" else value for name, value in pairs}

    def make(self, folder: Path, tokenizer: PreTrainedTokenizerFast) -> str:
        """Write the small model with random weights, wide enough that texts differ, and a tokenizer."""
        config = self.kind(vocab_size=len(tokenizer), initializer_range=0.1, **(_TOKENS | self.sizes))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            AutoModel.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return str(folder)


BOTH = ("huggingface", "onnx")
_ROBERTA = {**_SIZES, "max_position_embeddings": 514, "type_vocab_size": 1}
FAMILIES = {
    "BERT": Family(BertConfig, _SIZES, packs=True, exports=BOTH),
    "XLM-R": Family(XLMRobertaConfig, _ROBERTA, packs=True, exports=BOTH),
    "XLM-R-XL": Family(XLMRobertaXLConfig, _ROBERTA, exports=BOTH),
    "ModernBERT": Family(ModernBertConfig, {**_SIZES, **_MODERN}, longest=8192),
    "DeBERTa-v2": Family(DebertaV2Config, {**_SIZES, **_DEBERTA}, exports=BOTH),
    "EuroBERT": Family(
        EuroBertConfig,
        {**_SIZES, "num_key_value_heads": 1, "mask_token_id": 4},
        settings=("model.network.dropout=null",),
        longest=8192,
    ),
    "Qwen3": Family(Qwen3Config, {**_SIZES, "num_key_value_heads": 1, "head_dim": 8}, settings=_LAST, longest=32768),
    "ALBERT": Family(AlbertConfig, {**_SIZES, "embedding_size": 8}, exports=BOTH, depth=1, checkpoints=False),
    "ELECTRA": Family(ElectraConfig, {**_SIZES, "embedding_size": 8}, packs=True),
    "MPNet": Family(MPNetConfig, {**_SIZES, "max_position_embeddings": 514}, exports=BOTH, checkpoints=False),
    "DistilBERT": Family(DistilBertConfig, {"dim": 16, "n_layers": NUM_LAYERS, "n_heads": 2, "hidden_dim": 32}),
}
