"""Attention and feed-forward blocks of the parts that are trained from random weights.

Legend: R rows, T places that ask, S places that are read, D their size, H heads, E = D / H.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from lit_humor.models.attention import MATMUL, matmul_attention

_BY_PRODUCTS = (MATMUL, "eager")  # the other backends use torch's fused attention here


class MultiHeadAttention(nn.Module):
    """Softmax attention with several heads; keys and values are computed apart, so that they can be kept.

    Source: Vaswani et al. 2017, Attention Is All You Need. Cost: R T S D products, twice, and four projections.
    Alternatives: ``nn.MultiheadAttention`` computes keys and values at each call.

    Args:
        size: D.
        num_heads: H, which divides D.
        source_size: Size of what is read; None means D.
        dropout: Dropout of the attention weights.
        attention: Attention backend.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        *,
        source_size: int | None = None,
        dropout: float = 0.0,
        attention: str = "sdpa",
    ) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.by_products = attention in _BY_PRODUCTS
        self.query = nn.Linear(size, size)
        self.key = nn.Linear(source_size or size, size)
        self.value = nn.Linear(source_size or size, size)
        self.output = nn.Linear(size, size)

    def keys_and_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, each [R, H, S, E], of what is read [R, S, ...]."""
        return self._heads(self.key(source)), self._heads(self.value(source))

    def forward(self, states: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read by the states of each row.

        Args:
            states: [R, T, D].
            keys: [R, H, S, E].
            values: [R, H, S, E].
            mask: [R or 1, 1, T or 1, S] bool, True for places to read, at least one for each that asks; None: all.

        Returns:
            [R, T, D].
        """
        queries, dropout = self._heads(self.query(states)), self.dropout if self.training else 0.0
        if self.by_products:
            read, _ = matmul_attention(self, queries, keys, values, mask, dropout=dropout)
        else:
            read = F.scaled_dot_product_attention(queries, keys, values, mask, dropout).transpose(1, 2)
        return self.output(read.flatten(2))

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """How the blocks of a part are built.

    Attributes:
        num_heads: Heads of each attention.
        feed_forward: Size inside of a feed-forward block.
        dropout: Dropout of hidden states.
        attention_dropout: Dropout of attention weights.
        attention: Attention backend.
    """

    num_heads: int
    feed_forward: int
    dropout: float = 0.0
    attention_dropout: float = 0.0
    attention: str = "sdpa"

    def attend(self, size: int, source_size: int | None = None) -> MultiHeadAttention:
        """Return an attention block; arguments as of ``MultiHeadAttention``."""
        rate, backend = self.attention_dropout, self.attention
        return MultiHeadAttention(size, self.num_heads, source_size=source_size, dropout=rate, attention=backend)


class FeedForward(nn.Sequential):
    """Dense, GELU, dense, for each place by itself: [..., D] -> [..., D].

    Args:
        size: D.
        inner_size: Size between the two layers.
    """

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__(nn.Linear(size, inner_size), nn.GELU(), nn.Linear(inner_size, size))
