"""Reads the states of an encoder by learned queries, or as their mean.

Legend: B rows, S places of the encoder, Q queries, H their size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lit_humor.models.multi_head import Blocks, FeedForward

_QUERY_STD = 0.02


class QFormer(nn.Module):
    """One layer of BLIP-2's Q-Former: learned queries read one another, then the encoder; then a feed-forward block.

    It makes of any number of places the same number of vectors. The queries start as random numbers, normal with a
    standard deviation of 0.02. Zeros, as in the code of DIMTDA, must not be: nothing tells the queries apart, so all
    have one gradient and stay equal for ever (``tests/unit/test_fused_reading.py``).

    Source: Li et al. 2023, BLIP-2 (arXiv 2301.12597), section 3.1; norms behind the residual sums, as there.
    Cost: attention of Q x Q and Q x S, on top of the encoder.
    Alternatives: ``MeanReader``.

    Args:
        num_queries: Q.
        size: H.
        source_size: Size of the encoder's states.
        blocks: How both attentions and the feed-forward block are built.
    """

    def __init__(self, num_queries: int, size: int, source_size: int, blocks: Blocks) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(1, num_queries, size).normal_(std=_QUERY_STD))
        self.norm = nn.LayerNorm(size)
        self.among = blocks.attend(size)
        self.among_norm = nn.LayerNorm(size)
        self.read = blocks.attend(size, source_size)
        self.read_norm = nn.LayerNorm(size)
        self.feed_forward = FeedForward(size, blocks.feed_forward)
        self.feed_forward_norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(blocks.dropout)

    def forward(self, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read the states of an encoder.

        Args:
            source: [B, S, ...].
            mask: [B, S] bool, True for places to read, at least one a row; None: all.

        Returns:
            [B, Q, H].
        """
        rows = source.shape[0]  # len() would fix the number of rows in an exported graph
        states = self.dropout(self.norm(self.queries)).expand(rows, -1, -1)
        among = self.among(states, *self.among.keys_and_values(states))
        states = self.among_norm(states + self.dropout(among))
        read = self.read(states, *self.read.keys_and_values(source), None if mask is None else mask[:, None, None])
        states = self.read_norm(states + self.dropout(read))
        return self.feed_forward_norm(states + self.dropout(self.feed_forward(states)))


class MeanReader(nn.Module):
    """The mean of the encoder's places, projected: one vector, whatever is asked of the picture or text.

    Cost: one projection.
    Alternatives: ``QFormer``, for which this is the comparison.

    Args:
        size: H.
        source_size: Size of the encoder's states.
    """

    def __init__(self, size: int, source_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(source_size, size)
        self.norm = nn.LayerNorm(size)

    def forward(self, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read the states of an encoder, as ``QFormer.forward``, into [B, 1, H]."""
        if mask is None:
            mean = source.mean(dim=1, keepdim=True)
        else:
            weights = mask.unsqueeze(-1).to(source.dtype)
            mean = (source * weights).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
        return self.norm(self.project(mean))
