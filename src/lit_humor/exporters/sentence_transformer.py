"""Exports the embedding half of a model to a folder that sentence-transformers loads, and transformers alone as well.

Legend: N texts, T tokens, D size of a vector.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from lit_humor.models.gritlm import GritLM

_BATCH_ROWS = 64
_KINDS = ("Transformer", "Pooling", "Normalize")


def save_embedder(network: GritLM, tokenizer: PreTrainedTokenizerBase, folder: Path, max_length: int) -> None:
    """Write the model without its head, with attention in both directions, mean of the tokens, and length 1.

    Args:
        network: The trained network.
        tokenizer: Its tokenizer.
        folder: A folder that is made.
        max_length: Most tokens of a text.
    """
    config = type(network.config).from_dict(network.config.to_dict())  # drops our attention backend
    config.is_decoder, config.is_causal, config.architectures = False, False, None
    model = AutoModel.from_config(config)
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    model.load_state_dict(network.lm.base_model.state_dict())
    model.save_pretrained(folder)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
    paths = ("", "1_Pooling", "2_Normalize")
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(zip(paths, _KINDS, strict=True))
    ]
    pooling = {
        "word_embedding_dimension": config.hidden_size,
        "pooling_mode_mean_tokens": True,
        "include_prompt": False,
    }
    written: dict[str, Any] = {
        "modules.json": modules,
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
        "1_Pooling/config.json": {"pooling_mode_cls_token": False} | pooling,
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine", "prompts": {}},
    }
    for name, content in written.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    (folder / paths[2]).mkdir()


def embedded_by_folder(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Return the vectors [N, D] float32 of an exported folder, computed by transformers as its files say."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    parts = []
    for start in range(0, len(texts), _BATCH_ROWS):
        inputs = tokenizer(list(texts[start : start + _BATCH_ROWS]), truncation=True, padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        with torch.inference_mode():
            hidden = model(**inputs).last_hidden_state
        weights = inputs["attention_mask"][..., None].float()
        parts.append(nn.functional.normalize((hidden * weights).sum(dim=1) / weights.sum(dim=1), dim=-1).numpy())
    return np.concatenate(parts)
