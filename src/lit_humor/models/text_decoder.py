"""A small decoder that writes a text about a memory.

Legend: B rows, M places of the memory, U tokens of an answer, V words, D hidden size, K beams of a row, R = B K.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from lit_humor.core.errors import UserError
from lit_humor.models.multi_head import Blocks, FeedForward


class LayerCache:
    """What a layer keeps while it writes: keys and values of the memory, [B, H, M, E], and of what was written."""

    def __init__(self, memory: tuple[Tensor, Tensor]) -> None:
        self.memory = memory
        self.written: tuple[Tensor, Tensor] | None = None  # [R, H, tokens so far, E]

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append keys and values of a token, and return all."""
        if self.written is not None:
            keys, values = (torch.cat(pair, dim=2) for pair in zip(self.written, (keys, values), strict=True))
        self.written = keys, values
        return self.written

    def select(self, rows: Tensor) -> None:
        """Go on with these of the R texts, [R] int64, each within its row, so that they read the same memory."""
        if self.written is not None:
            self.written = self.written[0][rows], self.written[1][rows]


class DecoderLayer(nn.Module):
    """Attends to what was written, then to the memory, then passes a feed-forward block; norms before each.

    Source: Xiong et al. 2020, On Layer Normalization in the Transformer Architecture (arXiv 2002.04745).
    Cost: attention of U x U and U x M. Alternatives: norms behind the residual sums need a warm-up.

    Args:
        size: D.
        blocks: How both attentions and the feed-forward block are built.
    """

    def __init__(self, size: int, blocks: Blocks) -> None:
        super().__init__()
        self.written_norm, self.memory_norm, self.feed_forward_norm = (nn.LayerNorm(size) for _ in range(3))
        self.written, self.memory = blocks.attend(size), blocks.attend(size)
        self.feed_forward = FeedForward(size, blocks.feed_forward)
        self.dropout = nn.Dropout(blocks.dropout)

    def forward(
        self,
        states: Tensor,
        memory: Tensor,
        mask: Tensor | None = None,
        earlier: Tensor | None = None,
        cache: LayerCache | None = None,
    ) -> Tensor:
        """Compute the layer for whole answers, or for one more token of each.

        Args:
            states: [R, T, D]; T is 1 with a cache.
            memory: [B, M, D]; with a cache its keys and values are there, and it is not read.
            mask: [B, 1, 1, M] bool, True for places of the memory to read; None: all.
            earlier: [1, 1, T, T] bool, True for places of the answer to read; None: all, as with a cache.
            cache: What it keeps; it is extended.

        Returns:
            [R, T, D].
        """
        normed = self.written_norm(states)
        own = self.written.keys_and_values(normed)
        if cache is not None:
            own = cache.extended(*own)
        states = states + self.dropout(self.written(normed, *own, earlier))
        normed = self.memory_norm(states)
        read = cache.memory if cache is not None else self.memory.keys_and_values(memory)
        by_row = normed.reshape(len(read[0]), -1, normed.shape[-1])  # the beams of a row read the same memory
        states = states + self.dropout(self.memory(by_row, *read, mask).reshape(normed.shape))
        return states + self.dropout(self.feed_forward(self.feed_forward_norm(states)))


class TextDecoder(nn.Module):
    """Writes texts about a memory, token by token; its word embeddings are its output layer, too.

    An answer begins behind a learned start vector, which no tokenizer has to know. Answers are padded on the right:
    no token sees what is behind it, so padding needs no mask.

    Source: Vaswani et al. 2017; Press & Wolf 2017, Using the Output Embedding to Improve Language Models, for the tie.
    Cost: [B, U, V] logits. Alternatives: ``GritLM`` writes by a pretrained language model, from a prompt.

    Args:
        vocab_size: V.
        size: D.
        blocks: How the blocks of its layers are built.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.
        num_layers: Layers, at least one.
        positions: Most tokens of an answer.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        blocks: Blocks,
        gradient_checkpointing: bool = False,
        *,
        num_layers: int,
        positions: int,
    ) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(vocab_size, size), nn.Embedding(positions, size)
        self.start = nn.Parameter(torch.empty(1, 1, size))
        for table in (self.words.weight, self.positions.weight, self.start):
            nn.init.normal_(table, std=size**-0.5)  # logits of the normed states have a variance of 1
        self.layers = nn.ModuleList(DecoderLayer(size, blocks) for _ in range(num_layers))
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(blocks.dropout)
        self.checkpoints = gradient_checkpointing

    def forward(self, memory: Tensor, mask: Tensor | None, answer_ids: Tensor) -> Tensor:
        """Return the logits [B, U, V] of each token of the answers, given those before it.

        Args:
            memory: [B, M, D].
            mask: [B, M] bool, True for places of the memory to read, at least one a row; None: all.
            answer_ids: [B, U] int64, padded on the right.

        Raises:
            UserError: There are more tokens than positions.
        """
        width = answer_ids.shape[1]
        self.check_length(width)
        before = torch.cat([self.start.expand(len(memory), -1, -1), self.words(answer_ids[:, :-1])], dim=1)
        states = self.dropout(before + self.positions.weight[:width])
        earlier = torch.ones(width, width, dtype=torch.bool, device=states.device).tril()[None, None]
        mask = None if mask is None else mask[:, None, None]
        for layer in self.layers:
            if self.checkpoints and self.training and torch.is_grad_enabled():
                states = checkpoint(layer, states, memory, mask, earlier, use_reentrant=False)
            else:
                states = layer(states, memory, mask, earlier)
        return F.linear(self.norm(states), self.words.weight)

    def check_length(self, num_tokens: int) -> None:
        """Check that there are positions for so many tokens.

        Raises:
            UserError: There are not.
        """
        if num_tokens > self.positions.num_embeddings:
            raise UserError(
                "model.network.decoder_positions",
                found=f"{self.positions.num_embeddings}, but an answer of {num_tokens} tokens",
                expected=f"at least {num_tokens}",
                fix=f"set model.network.decoder_positions={num_tokens}",
            )


class Writing:
    """Texts that a decoder is writing, one token at a time.

    Keys and values of the memory are computed once a row, those of what was written once a token.

    Args:
        decoder: In evaluation mode.
        memory: [B, M, D].
        mask: [B, M] bool, True for places of the memory to read; None: all.
        num_beams: K, texts of a row.
    """

    def __init__(self, decoder: TextDecoder, memory: Tensor, mask: Tensor | None, num_beams: int = 1) -> None:
        self.decoder, self.memory, self.mask = decoder, memory, None if mask is None else mask[:, None, None]
        self.start = decoder.start.expand(len(memory) * num_beams, -1, -1)
        self.caches = [LayerCache(layer.memory.keys_and_values(memory)) for layer in decoder.layers]  # type: ignore[operator,union-attr]
        self.num_written = 0

    def step(self, ids: Tensor | None) -> Tensor:
        """Append a token to each text, and return the logits [R, V] of the one that follows.

        Args:
            ids: [R] int64; None at the start.
        """
        states = self.start if ids is None else self.decoder.words(ids[:, None])
        states = states + self.decoder.positions.weight[self.num_written]
        for layer, cache in zip(self.decoder.layers, self.caches, strict=True):
            states = layer(states, self.memory, self.mask, cache=cache)
        self.num_written += 1
        return F.linear(self.decoder.norm(states[:, 0]), self.decoder.words.weight)

    def select(self, rows: Tensor) -> None:
        """Go on with these of the R texts, [R] int64, each within its row."""
        for cache in self.caches:
            cache.select(rows)
