"""Exports a trained classifier to a folder that transformers loads without this project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase, pipeline

from lit_humor.core.errors import UserError
from lit_humor.models.encoder import TextClassifier
from lit_humor.models.pooling import POOLINGS
from lit_humor.tasks.answers import ExportForm


def as_transformers(model: TextClassifier, form: ExportForm, temperature: float) -> PreTrainedModel:
    """Return the same classifier as a transformers model, with the calibration in its last layer.

    Args:
        model: A trained classifier that pools the first token.
        form: What its numbers are.
        temperature: Divides the weights of the last layer, so that its numbers are calibrated.

    Raises:
        UserError: transformers has no classifier of this architecture with our head.
    """
    if model.pool is not POOLINGS["first"]:
        raise _no_such_head(f"{next(name for name, one in POOLINGS.items() if one is model.pool)} pooling")
    config = type(model.config).from_dict(model.config.to_dict())  # drops our attention backend
    config.id2label = dict(enumerate(form.names))
    config.label2id = {name: index for index, name in enumerate(form.names)}
    config.problem_type = form.problem_type
    if hasattr(config, "pooler_hidden_act"):  # DeBERTa's pooler takes any
        config.pooler_hidden_act = "tanh"
    exported = AutoModelForSequenceClassification.from_config(config)
    base = getattr(exported, exported.base_model_prefix)
    loaded = base.load_state_dict(model.backbone.state_dict(), strict=False)
    if loaded.unexpected_keys or any("pooler" not in name for name in loaded.missing_keys):
        raise _no_such_head(config.model_type)
    dense, projection = _head_layers(exported, base)
    with torch.no_grad():
        for source, target, divisor in ((model.head.dense, dense, 1.0), (model.head.out_proj, projection, temperature)):
            target.weight.copy_(source.weight / divisor)
            target.bias.copy_(source.bias / divisor)
    if not _agree(exported.eval(), model.eval(), temperature):  # its head has another activation
        raise _no_such_head(config.model_type)
    return exported


def _agree(exported: PreTrainedModel, model: TextClassifier, temperature: float) -> bool:
    """Whether both give the same logits for a few tokens."""
    ids = torch.arange(3, 8)[None]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    device = model.head.dense.weight.device
    with torch.inference_mode():
        expected = model({name: value.to(device) for name, value in inputs.items()})["logits"].cpu() / temperature
        return torch.allclose(exported(**inputs).logits, expected, rtol=1e-3, atol=1e-4)


def _head_layers(exported: Any, base: Any) -> tuple[nn.Linear, nn.Linear]:
    """Return the dense and projection layers: of RoBERTa's head, or of a pooler (BERT, ALBERT, DeBERTa)."""
    classifier = getattr(exported, "classifier", None)
    if hasattr(classifier, "dense") and hasattr(classifier, "out_proj"):
        return classifier.dense, classifier.out_proj  # type: ignore[union-attr]
    pooler = getattr(base, "pooler", None) or getattr(exported, "pooler", None)
    dense = getattr(pooler, "dense", pooler)  # ALBERT's pooler is the layer itself
    if isinstance(dense, nn.Linear) and isinstance(classifier, nn.Linear):
        return dense, classifier
    raise _no_such_head(exported.config.model_type)


def _no_such_head(architecture: str) -> UserError:
    """The error for a classifier that transformers cannot represent."""
    return UserError(
        "to=huggingface",
        found=f"{architecture}, for which transformers has no classifier with our head",
        expected="an encoder like RoBERTa or BERT that pools its first token",
        fix="set to=onnx",
    )


def save_folder(exported: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights, configuration and tokenizer."""
    exported.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def pipeline_scores(
    folder: Path, texts: Sequence[str], text_pairs: Sequence[str] | None, max_length: int, form: ExportForm
) -> np.ndarray:
    """Return the numbers [N, K] of ``transformers.pipeline`` with the exported folder."""
    classifier = pipeline("text-classification", str(folder), device="cpu")
    inputs: list[Any] = list(texts)
    if text_pairs is not None:
        inputs = [{"text": text, "text_pair": pair} for text, pair in zip(texts, text_pairs, strict=True)]
    predictions: Any = classifier(inputs, top_k=None, truncation=True, max_length=max_length, batch_size=32)
    scores_by_name = [{score["label"]: score["score"] for score in row} for row in predictions]
    return np.asarray([[row[name] for name in form.names] for row in scores_by_name])
