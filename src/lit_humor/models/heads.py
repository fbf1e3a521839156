"""Heads, which compute logits from the pooled vector of a row. Legend: B rows, D hidden size, C classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ClassificationHead(nn.Module):
    """Dropout, dense, tanh, dropout, projection, as RoBERTa has it.

    Source: Liu et al. 2019, RoBERTa; the code of fairseq's ``RobertaClassificationHead``.

    Args:
        hidden_size: D.
        num_classes: C.
        dropout: Dropout before both layers.
        initializer_range: Standard deviation of the initial weights.
    """

    def __init__(self, hidden_size: int, num_classes: int, dropout: float, initializer_range: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, num_classes)
        for layer in (self.dense, self.out_proj):
            nn.init.normal_(layer.weight, std=initializer_range)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> Tensor:
        """[B, D] -> [B, C]."""
        hidden = torch.tanh(self.dense(self.dropout(pooled)))
        return self.out_proj(self.dropout(hidden))
