"""A pretrained encoder with a classification head. Legend: B rows, T tokens, D hidden size, C classes, L layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from transformers import PretrainedConfig

from lit_humor.core.rows import TrainingRows
from lit_humor.models.attention import TENSOR_MASK_BACKENDS
from lit_humor.models.depths import depths_of
from lit_humor.models.dropout import use_fast_dropout
from lit_humor.models.embeddings import UsedRowsEmbedding
from lit_humor.models.freezing import FrozenPrefix, reinitialize
from lit_humor.models.heads import ClassificationHead
from lit_humor.models.last_layer import keep_first_token_only
from lit_humor.models.network import Network
from lit_humor.models.packing import PACKED, encode_packed
from lit_humor.models.pooling import pooling_for
from lit_humor.models.pretrained import checkpoint_activations, find_layers, first_position, load_backbone, load_config
from lit_humor.models.rates import set_rates
from lit_humor.models.texts import text_inputs


class TextClassifier(Network):
    """Any encoder of the Hugging Face hub with pooling and the head of RoBERTa (dense, tanh, projection).

    Args:
        pretrained: Name on the hub or local folder (``config.json``, ``model.safetensors``).
        num_classes: C.
        dropout: Dropout of hidden states and of the head; None keeps the encoder's own, and the head has 0.1.
        attention_dropout: Dropout of attention probabilities; None keeps the encoder's own.
        pooling: ``first`` token, ``mean`` of tokens, or ``last`` token, which alone sees all of a causal decoder's.
        embeddings: Word embeddings to train: ``all``, ``used`` (of tokens that occur, see ``prepare``), or ``frozen``.
        saved_embeddings: Word embeddings in checkpoints: ``all``, or the ``trained`` rows and the hash of the others.
        fast_dropout: Use ``FastDropout``.
        short_last_layer: Compute only the first token of the last layer, if pooling is ``first``.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.
        frozen_layers: Lowest layers that do not learn, and the embeddings with them; see ``FrozenPrefix``.
        reinitialized_layers: Highest layers that start from random weights.
        attention: Backend of transformers (``sdpa``, ``eager``, ``matmul``), or ``packed``, which computes no padding.
        with_weights: Load the pretrained weights; False leaves parameters without values, for a checkpoint.

    Raises:
        UserError: The model cannot be found or loaded, or does not support a setting.
    """

    def __init__(
        self,
        pretrained: str,
        num_classes: int,
        *,
        dropout: float | None = 0.1,
        attention_dropout: float | None = 0.1,
        pooling: Literal["first", "mean", "last"] = "first",
        embeddings: Literal["all", "used", "frozen"] = "all",
        saved_embeddings: Literal["all", "trained"] = "all",
        fast_dropout: bool = False,
        short_last_layer: bool = False,
        gradient_checkpointing: bool = False,
        frozen_layers: int = 0,
        reinitialized_layers: int = 0,
        attention: str = "sdpa",
        with_weights: bool = True,
    ) -> None:
        super().__init__()
        config = load_config(pretrained)
        head_rate = set_rates(config, dropout, attention_dropout)
        self.backbone = load_backbone(pretrained, config, attention, with_weights)
        self.backbone.train()  # from_pretrained leaves evaluation mode, and the Trainer would keep it: no dropout
        if getattr(self.backbone, "pooler", None) is not None:
            self.backbone.pooler = None  # type: ignore[assignment]  # unused: it would get no gradient, and DDP would stop
        self.pool = pooling_for(pooling, self.backbone)
        self.head = ClassificationHead(config.hidden_size, num_classes, head_rate, config.initializer_range)
        self.embeddings, self.saves_all = embeddings, saved_embeddings == "all"
        if embeddings == "frozen":
            self.backbone.get_input_embeddings().requires_grad_(False)
        if fast_dropout:
            use_fast_dropout(self)
        self.prefix = FrozenPrefix(self, frozen_layers)
        if reinitialized_layers:
            reinitialize(self, reinitialized_layers, frozen_layers)
        self.is_short = False
        if short_last_layer and pooling == "first" and attention in (*TENSOR_MASK_BACKENDS, PACKED):
            self.is_short = keep_first_token_only(self.layers()[-1])
        if gradient_checkpointing:
            checkpoint_activations(self.backbone)

    def prepare(self, training: TrainingRows) -> None:
        """Keep the embeddings of tokens that occur, where these alone learn or are saved."""
        used_tokens = training.used_tokens
        is_part = self.embeddings == "used" or (self.embeddings == "frozen" and not self.saves_all)
        if is_part and used_tokens is not None:
            table = self.backbone.get_input_embeddings()
            assert isinstance(table, nn.Embedding)
            rows = used_tokens[used_tokens < table.num_embeddings]
            self.backbone.set_input_embeddings(UsedRowsEmbedding(table, rows, self.saves_all))

    def compile_parts(self, whole: bool = False, backend: str = "inductor") -> None:
        """Compile the layers, or the encoder without the head as a whole; see ``Network``."""
        for module in (self.backbone,) if whole else self.layers():
            module.compile(backend=backend, dynamic=True)

    @property
    def config(self) -> PretrainedConfig:
        """Configuration of the encoder, from transformers."""
        return self.backbone.config

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Score a batch.

        Returns:
            ``logits`` [B, C] and ``embeddings`` [B, D], the pooled vectors.
        """
        with self.prefix.given(batch):
            if self.config._attn_implementation == PACKED:
                hidden = encode_packed(self.backbone, text_inputs(batch), first_position(self.config), self.is_short)
            else:
                hidden = self.backbone(**text_inputs(batch)).last_hidden_state
        pooled = self.pool(hidden, batch["attention_mask"])
        return {"logits": self.head(pooled), "embeddings": pooled}

    def parameter_depths(self) -> dict[str, int]:
        """Return the depth of each parameter by name: 0 embeddings, 1 ... L layers (bottom to top), L + 1 head."""
        depths = depths_of(self.backbone, self.layers(), self.head)
        return {name: depths[id(p)] for name, p in self.named_parameters()}

    def layers(self) -> nn.ModuleList:  # type: ignore[override]  # it is a sequence in all but name
        """Return the encoder's layers, bottom to top: its list of ``num_hidden_layers`` modules."""
        return find_layers(self, self.config)
