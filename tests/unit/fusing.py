"""Small models of two encoders, and batches for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_humor.models.embedded import random_xlm_roberta
from lit_humor.models.fused import Fused
from tests.unit.pairing import padded

VIT = {
    "model_type": "vit", "image_size": 16, "patch_size": 4, "hidden_size": 24, "num_hidden_layers": 3,
    "num_attention_heads": 2, "intermediate_size": 32, "initializer_range": 0.1,
}  # fmt: skip
TEXT: dict[str, Any] = {"reads": "text"}
PICTURE: dict[str, Any] = {"reads": "picture", "config": VIT}
BOTH: tuple[dict[str, Any], ...] = (TEXT, PICTURE)
TWO_TEXTS = (TEXT, TEXT)
BERT = {
    "model_type": "bert",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
KINDS: dict[str, tuple[Any, ...]] = {
    "text and picture": BOTH,
    "picture and text": (PICTURE, TEXT),
    "two texts": TWO_TEXTS,
    "two pictures": (PICTURE, PICTURE),
    "another text": (TEXT, {"reads": "text", "config": BERT}),
}
SIZES: dict[str, Any] = {
    "queries": 6, "hidden_size": 16, "num_heads": 2, "qformer_feed_forward": 32, "decoder_layers": 2,
    "decoder_feed_forward": 32, "decoder_positions": 12, "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
BACKENDS = ("sdpa", "eager", "matmul")
TEXTS = ([0, 40, 41, 42, 43, 44, 2], [0, 50, 2], [0, 60, 61, 62, 2])
ANSWERS = ([30, 2], [31, 32, 33, 34, 2], [35, 36, 2])
END = 2


def make_model(folder: Path) -> str:
    """A small random XLM-R, wide enough that texts differ, as a folder."""
    sizes = {"vocab_size": 600, "hidden_size": 16, "num_layers": 2, "num_heads": 2}
    return random_xlm_roberta(str(folder), **sizes, initializer_range=0.1)


def make_network(folder: str, encoders: Sequence[Any] = BOTH, classes: int | None = 3, **options: Any) -> Fused:
    """One that evaluates, without dropout."""
    torch.manual_seed(2)
    return Fused(folder, classes, encoders=encoders, **(SIZES | options)).eval()


def listening(network: Fused) -> Fused:
    """With a memory so large that what is written follows it."""
    nn.init.normal_(network.project.weight, std=3)
    return network


def make_pictures(num_rows: int, size: int = 16) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(0, 256, (num_rows, size, size, 3), dtype=torch.uint8, generator=generator)


def make_batch(texts: Sequence[Sequence[int]] = TEXTS, answers: Sequence[Sequence[int]] = ANSWERS) -> dict[str, Tensor]:
    ids, mask = padded(texts)
    answer_ids, answer_mask = padded(answers)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "pictures": make_pictures(len(texts)),
        "answer_ids": answer_ids,
        "answer_mask": answer_mask,
    }


def wider(batch: dict[str, Tensor], texts: int = 0, answers: int = 0) -> dict[str, Tensor]:
    """The same rows with more padding, whose ids are of words."""
    widths = {
        "input_ids": (texts, 77),
        "attention_mask": (texts, 0),
        "answer_ids": (answers, 78),
        "answer_mask": (answers, 0),
    }
    grown = {n: F.pad(batch[n], (0, more), value=value) for n, (more, value) in widths.items()}
    return batch | grown


def rows_of(batch: dict[str, Tensor], rows: Any) -> dict[str, Tensor]:
    return {name: value[rows] for name, value in batch.items()}


def losses_of(network: Fused, batch: dict[str, Tensor], first: int = 0) -> Tensor:
    """One value a row, of both what it judges and what it writes."""
    outputs = network(batch)
    labels = torch.arange(first, first + len(batch["input_ids"])) % 3
    words = F.cross_entropy(outputs["answer_logits"].transpose(1, 2), batch["answer_ids"], reduction="none")
    return F.cross_entropy(outputs["logits"], labels, reduction="none") + (words * batch["answer_mask"]).sum(dim=1)


def gradients_of(network: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    network.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def without_zeros(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the biases of keys, which a softmax takes out: their gradient is rounding."""
    return {name: value for name, value in gradients.items() if not name.endswith(("key.bias", "k_proj.bias"))}
