"""Encoders that give the states of all places of an input. Legend: B rows, S places, T tokens, D hidden size."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from lit_humor.models.packing import PACKED, encode_packed
from lit_humor.models.pretrained import checkpoint_activations, find_layers, first_position
from lit_humor.models.texts import text_inputs


class StateEncoder(nn.Module, ABC):
    """An encoder of transformers without its pooling.

    A frozen one has no gradients and stays in evaluation mode, without dropout, whatever mode the network is in.

    Args:
        backbone: The encoder.
        is_frozen: Whether it keeps its weights.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.

    Raises:
        UserError: It cannot compute activations again.
    """

    def __init__(self, backbone: PreTrainedModel, *, is_frozen: bool, gradient_checkpointing: bool) -> None:
        super().__init__()
        self.backbone: Any = backbone
        if getattr(backbone, "pooler", None) is not None:
            backbone.pooler = None  # type: ignore[assignment]  # unused: it would get no gradient, and DDP would stop
        self.is_frozen = is_frozen
        if is_frozen:
            self.backbone.requires_grad_(False)
        elif gradient_checkpointing:
            checkpoint_activations(backbone)
        self.train()  # from_pretrained leaves evaluation mode, and the Trainer would keep it: no dropout

    @abstractmethod
    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return what ``forward`` does."""

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Encode a batch.

        Returns:
            States [B, S, D], and a mask [B, S] bool, True for places to read, at least one a row; None: all.
        """
        with torch.no_grad() if self.is_frozen else contextlib.nullcontext():
            return self.states(batch)

    def train(self, mode: bool = True) -> StateEncoder:
        """Set training mode, unless it is frozen."""
        return super().train(mode and not self.is_frozen)

    def layers(self) -> nn.ModuleList:
        """Return the layers, bottom to top."""
        return find_layers(self.backbone, self.backbone.config)


class TextEncoder(StateEncoder):
    """Reads the tokens of a ``TextBatch``."""

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return the states of the tokens.

        Of a row without tokens, such as a padding row, the first place is read: a softmax over nothing is no number.
        """
        inputs = text_inputs(batch)
        mask = inputs["attention_mask"].bool()
        mask = torch.cat([mask[:, :1] | ~mask.any(dim=1, keepdim=True), mask[:, 1:]], dim=1)
        inputs["attention_mask"] = mask.to(inputs["attention_mask"].dtype)
        config = self.backbone.config
        if config._attn_implementation == PACKED:
            return encode_packed(self.backbone, inputs, first_position(config), False), mask
        return self.backbone(**inputs).last_hidden_state, mask
