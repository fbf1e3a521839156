"""Two encoders, each read by a Q-Former, a gate between them, a decoder that writes and a head that judges.

Legend: B rows, T tokens, S size of a picture, Q queries, H hidden size, A tokens of an answer, V words, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NotRequired

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PretrainedConfig

from lit_humor.core.batch import Batch
from lit_humor.core.errors import UserError
from lit_humor.models.depths import depths_of
from lit_humor.models.fused_settings import (
    PICTURE,
    EncoderSettings,
    FusedSizes,
    Gate,
    encoder_config,
    read_encoders,
    with_encoders,
)
from lit_humor.models.heads import ClassificationHead
from lit_humor.models.multi_head import Blocks
from lit_humor.models.network import Network
from lit_humor.models.picture_encoder import PictureEncoder
from lit_humor.models.pretrained import load_backbone, load_config
from lit_humor.models.qformer import MeanReader, QFormer
from lit_humor.models.rates import HEAD_RATE, set_rates
from lit_humor.models.state_encoder import StateEncoder, TextEncoder
from lit_humor.models.text_decoder import TextDecoder, Writing
from lit_humor.models.writing import write_with

_ALWAYS = {"half": 0.5, "first": 1.0, "second": 0.0}  # share of the first encoder, where it is not learned


class FusedBatch(Batch):
    """A micro-batch of texts and pictures; texts and answers are padded on the right."""

    input_ids: Tensor  # [B, T] int64
    attention_mask: Tensor  # [B, T] int64, 1 on tokens
    pictures: NotRequired[Tensor]  # [B, S, S, 3] uint8
    patch_ids: NotRequired[Tensor]  # [B, P] int64, places of a picture's patches, which ``row_tokens`` counts
    answer_ids: NotRequired[Tensor]  # [B, A] int64, with the end of the text
    answer_mask: NotRequired[Tensor]  # [B, A] int64, 1 on tokens
    writing_weights: NotRequired[Tensor]  # [B] float32, 1 if the row trains the writing, else 0


class Fused(Network):
    """Fuses what two encoders read, such as a caption and a picture, or a text twice, and writes and judges from it.

    Each encoder is read by a Q-Former of its own, so that both give Q vectors. Of each pair the gate takes
    ``alpha first + (1 - alpha) second``, ``alpha = sigmoid(w [first; second] + b)``, one number for each query. The
    fused vectors, projected, are the memory: the decoder attends to them, and the head reads their mean.

    Source: DIMTDA (Liang et al. 2024), whose encoders both read a picture, with queries that start as random numbers
    instead of zeros; see ``QFormer``.
    Cost: both encoders, two Q-Formers, and what the decoder writes.
    Alternatives: ``TextClassifier`` for a text alone; ``GritLM`` writes by a pretrained language model.

    Args:
        pretrained: Name on the hub or local folder; its tokenizer makes the tokens of texts and answers, and its
            weights are those of an encoder of texts that names no others.
        num_classes: C; None: there is no head.
        encoders: Two nodes with the attributes of ``EncoderSettings``.
        gate: ``learned``; ``half`` of each; or the ``first`` or ``second`` alone, and the other is left out.
        queries: Q, of each Q-Former; 0: there is none, and the mean of an encoder's places is read, so that Q is 1.
        hidden_size: H.
        num_heads: Heads of the attentions of Q-Formers and decoder.
        qformer_feed_forward: Size inside of the feed-forward block of a Q-Former.
        decoder_layers: Layers of the decoder; 0: it does not write.
        decoder_feed_forward: Size inside of the feed-forward blocks of the decoder.
        decoder_positions: Most tokens of an answer.
        dropout: Dropout of hidden states; None keeps the encoders' own, and the other parts have 0.1.
        attention_dropout: Dropout of attention weights; None as for ``dropout``.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.
        attention: Attention backend of transformers (``sdpa``, ``eager``, ``matmul``), or ``packed`` for texts alone.
        with_weights: Load the pretrained weights; False leaves the encoders' parameters without values, for a
            checkpoint that follows, and takes their configurations from the run folder.

    Raises:
        UserError: A model cannot be found or loaded, or does not support a setting; a size or encoder is wrong.
    """

    gives = ("embeddings", "gate", "logits", "answer_logits")

    def __init__(
        self,
        pretrained: str,
        num_classes: int | None = None,
        *,
        encoders: Sequence[Any],
        gate: Gate = "learned",
        queries: int = 256,
        hidden_size: int = 512,
        num_heads: int = 8,
        qformer_feed_forward: int = 1024,
        decoder_layers: int = 3,
        decoder_feed_forward: int = 2048,
        decoder_positions: int = 512,
        dropout: float | None = 0.1,
        attention_dropout: float | None = 0.1,
        gradient_checkpointing: bool = False,
        attention: str = "sdpa",
        with_weights: bool = True,
    ) -> None:
        super().__init__()
        sizes = FusedSizes(
            queries=queries,
            hidden_size=hidden_size,
            num_heads=num_heads,
            qformer_feed_forward=qformer_feed_forward,
            decoder_layers=decoder_layers,
            decoder_feed_forward=decoder_feed_forward,
            decoder_positions=decoder_positions,
        )
        sizes.check()
        settings, config = read_encoders(encoders), load_config(pretrained)
        self.share, self.checkpoints = _ALWAYS.get(gate, 0.0), gradient_checkpointing
        used = {"first": [0], "second": [1]}.get(gate, [0, 1])
        rates = _own_rates(dropout, attention_dropout)
        configs: list[PretrainedConfig | None] = [None, None]
        made: list[StateEncoder] = []
        for place in used:
            one = encoder_config(settings[place], place, config, pretrained, with_weights)
            set_rates(one, dropout, attention_dropout)
            source = None if settings[place].config is not None else settings[place].pretrained or pretrained
            backbone = load_backbone(source, one, attention, with_weights)
            made.append(_encoder(backbone, settings[place], gradient_checkpointing))
            configs[place] = backbone.config
        self.encoders, self._config = nn.ModuleList(made), with_encoders(config, configs)
        blocks = Blocks(num_heads=num_heads, feed_forward=qformer_feed_forward, attention=attention, **rates)
        widths = [one.backbone.config.hidden_size for one in made]
        self.readers = nn.ModuleList(
            QFormer(queries, hidden_size, width, blocks) if queries else MeanReader(hidden_size, width)
            for width in widths
        )
        self.gate = nn.Linear(2 * hidden_size, 1) if gate == "learned" else None
        self.project = nn.Linear(hidden_size, hidden_size)
        self.decoder = self.head = None
        if decoder_layers:
            blocks = replace(blocks, feed_forward=decoder_feed_forward)
            counts = {"num_layers": decoder_layers, "positions": decoder_positions}
            self.decoder = TextDecoder(config.vocab_size, hidden_size, blocks, gradient_checkpointing, **counts)
        if num_classes is not None:
            self.head = ClassificationHead(hidden_size, num_classes, rates["dropout"], hidden_size**-0.5)

    @property
    def config(self) -> PretrainedConfig:
        """Configuration of ``pretrained``, with those of the encoders."""
        return self._config

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Judge and write what the batch has.

        Args:
            batch: Tensors of a ``FusedBatch``.

        Returns:
            ``embeddings`` [B, H], the mean of the memory, and ``gate`` [B], the mean share of the first encoder.
            ``logits`` [B, C] with a head; ``answer_logits`` [B, A, V], of each token of the answer given those before
            it, where there are answers and a decoder.
        """
        memory, share = self._fuse(batch)
        pooled = memory.mean(dim=1)
        outputs = {"embeddings": pooled, "gate": share.mean(dim=1)}
        if self.head is not None:
            outputs["logits"] = self.head(pooled)
        if self.decoder is not None and "answer_ids" in batch:
            outputs["answer_logits"] = self.decoder(memory, None, batch["answer_ids"])
        return outputs

    def memory(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return what the decoder attends to and the head reads: [B, Q, H], and the mask, None, as all of it counts."""
        return self._fuse(batch)[0], None

    @torch.no_grad()
    def write(self, batch: Mapping[str, Tensor], max_tokens: int, end: int, num_beams: int = 1) -> Tensor:
        """Write an answer for each row; see ``models/writing.py``.

        Args:
            batch: Tensors of a ``FusedBatch``; its answers are not read.
            max_tokens: Most tokens of an answer.
            end: Id of the token that ends an answer.
            num_beams: Beginnings that are kept; 1 is greedy.

        Returns:
            [B, max_tokens] int64, ``end`` where an answer has ended.

        Raises:
            UserError: There is no decoder, or it has fewer positions.
        """
        if self.decoder is None:
            key = "model.network.decoder_layers"
            raise UserError(key, found="0", expected="a decoder, to write answers", fix=f"set {key}=3")
        self.decoder.check_length(max_tokens)
        return write_with(Writing(self.decoder, *self.memory(batch), num_beams), num_beams, max_tokens, end)

    def parameter_depths(self) -> dict[str, int]:
        """Return the depth of each parameter by name: 0 embeddings, 1 ... L layers (bottom to top), L + 1 all the rest.

        L is that of the encoder with more layers; the other one ends at the same depth, so that in both the top layer
        has the same learning rate.
        """
        counts = [len(encoder.layers()) for encoder in self._encoders]
        depths: dict[int, int] = {}
        for encoder, count in zip(self._encoders, counts, strict=True):
            own = depths_of(encoder.backbone, encoder.layers(), nn.ModuleList())
            depths |= {key: depth + max(counts) - count for key, depth in own.items()}
        return {name: depths.get(id(p), max(counts) + 1) for name, p in self.named_parameters()}

    def layers(self) -> list[nn.Module]:
        """Return the layers of the encoders, of each bottom to top."""
        return [layer for encoder in self._encoders for layer in encoder.layers()]

    @property
    def _encoders(self) -> list[StateEncoder]:
        return list(self.encoders)  # type: ignore[arg-type]  # they are

    def _fuse(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the memory [B, Q, H] and the share of the first encoder in each query, [B, Q]."""
        read = [
            self._read(reader, *encoder(batch)) for encoder, reader in zip(self._encoders, self.readers, strict=True)
        ]
        if self.gate is not None:
            share = torch.sigmoid(self.gate(torch.cat(read, dim=-1)))
        else:
            share = torch.full_like(read[0][..., :1], self.share)
        fused = read[0] if len(read) == 1 else share * read[0] + (1 - share) * read[1]
        return self.project(fused), share.squeeze(-1)

    def _read(self, reader: nn.Module, states: Tensor, mask: Tensor | None) -> Tensor:
        if self.checkpoints and self.training and torch.is_grad_enabled():
            return checkpoint(reader, states, mask, use_reentrant=False)
        return reader(states, mask)


def _own_rates(dropout: float | None, attention_dropout: float | None) -> dict[str, float]:
    """Return the rates of what is not pretrained."""
    rates = {"dropout": dropout, "attention_dropout": attention_dropout}
    return {name: HEAD_RATE if rate is None else rate for name, rate in rates.items()}


def _encoder(backbone: Any, settings: EncoderSettings, gradient_checkpointing: bool) -> StateEncoder:
    options: dict[str, bool] = {"is_frozen": settings.frozen, "gradient_checkpointing": gradient_checkpointing}
    if settings.reads == PICTURE:
        return PictureEncoder(backbone, mean=settings.mean, std=settings.std, **options)
    return TextEncoder(backbone, **options)
