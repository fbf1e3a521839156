"""Makes a smaller encoder of a pretrained one: some of its layers, and its embeddings and tokenizer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoModel

from lit_humor.core.errors import UserError
from lit_humor.models.pretrained import find_layers, load_config, load_tokenizer
from lit_humor.models.random_models import make_once

_WEIGHTS = "model.safetensors"


def every_nth_layer(pretrained: Any, every: int, cache_dir: str) -> str:
    """Write an encoder with every n-th layer of another, beginning with the lowest, as a student starts from.

    Source: Sanh et al. 2019, DistilBERT, section 2 (one layer out of two).
    Cost: 1 / n of the time in the layers; a fine-tuned encoder without distillation loses more.
    Alternatives: ``model.network.frozen_layers`` makes training cheaper, not use.

    Args:
        pretrained: Name on the hub or local folder; in a configuration also a node that returns one.
        every: n, at least 1 and at most the number of layers.
        cache_dir: Parent of the folder; an existing folder is used again.

    Returns:
        A folder with config.json, model.safetensors and the tokenizer, which loads like any other encoder.

    Raises:
        UserError: The encoder cannot be found, or has too few layers.
    """
    config = load_config(pretrained)
    if not 1 <= every <= config.num_hidden_layers:
        expected = f"1 to {config.num_hidden_layers}, the layers of the encoder"
        raise UserError(
            "model.pretrained.every", found=str(every), expected=expected, fix="set model.pretrained.every=2"
        )
    file = Path(pretrained) / _WEIGHTS
    facts = (pretrained, every, config.to_json_string(), file.is_file() and file.stat().st_mtime_ns)
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:12]
    folder = Path(cache_dir) / f"{Path(pretrained).name}-every-{every}-{digest}"
    if not folder.is_dir():
        make_once(folder, lambda unfinished: _write(pretrained, every, unfinished))
    return str(folder)


def _write(pretrained: str, every: int, folder: Path) -> None:
    """Write the folder, with weights of the type that they had."""
    encoder = AutoModel.from_pretrained(pretrained, dtype="auto", trust_remote_code=False)
    layers, config = find_layers(encoder, encoder.config), encoder.config
    kept = range(0, len(layers), every)
    layers._modules = nn.ModuleList([layers[index] for index in kept])._modules
    config.num_hidden_layers = len(kept)
    if kinds := getattr(config, "layer_types", None):  # encoders with several kinds of layers name that of each
        config.layer_types = [kinds[index] for index in kept]
    encoder.save_pretrained(folder)
    load_tokenizer(pretrained).save_pretrained(folder)
