"""A tiny classifier on a batch with padding, to compare a fast path with its plain form."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from lit_humor.models.encoder import TextClassifier

USED = np.array([0, 1, 2, 3, 7, 8, 9, 20, 21])


def short_batch(padding: bool = True) -> dict[str, torch.Tensor]:
    """Three rows of 7, 5 and 2 tokens of ``USED``; XLM-R's pad id is 1."""
    ids = torch.tensor([[0, 7, 8, 9, 20, 21, 2], [0, 9, 9, 7, 2, 1, 1], [0, 2, 1, 1, 1, 1, 1]])
    ids = ids if padding else ids[:1].repeat(3, 1)
    return {"input_ids": ids, "attention_mask": (ids != 1).long()}


def tiny_classifier(tiny_model: str, **settings: Any) -> TextClassifier:
    torch.manual_seed(0)
    return TextClassifier(tiny_model, 2, **({"dropout": 0.0, "attention_dropout": 0.0} | settings))


def scores_and_gradients(model: TextClassifier, padding: bool = True) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Logits and the gradient of every parameter."""
    logits = model.train()(short_batch(padding))["logits"]
    F.cross_entropy(logits, torch.tensor([0, 1, 1])).backward()
    return logits, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same(one: TextClassifier, other: TextClassifier, padding: bool) -> None:
    (logits, gradients), (others, other_gradients) = (
        scores_and_gradients(one, padding),
        scores_and_gradients(other, padding),
    )
    torch.testing.assert_close(logits, others)
    assert gradients.keys() == other_gradients.keys()
    assert len(gradients) > 30
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, other_gradients[name], msg=name)
