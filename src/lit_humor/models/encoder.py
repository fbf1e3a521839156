"""A pretrained encoder with a classification head. Legend: B rows, T tokens, D hidden size, C classes, L layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from huggingface_hub.utils import enable_progress_bars
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as hf_logging

from lit_humor.core.batch import MODEL_INPUTS
from lit_humor.core.errors import UserError, one_line
from lit_humor.models.attention import MASKED_BY_ROWS, MATMUL
from lit_humor.models.dropout import use_fast_dropout
from lit_humor.models.embeddings import UsedRowsEmbedding
from lit_humor.models.last_layer import LIKE_BERT, keep_first_token_only
from lit_humor.models.packing import PACKED, Packing
from lit_humor.models.pooling import POOLINGS
from lit_humor.models.reach import use_cache_where_the_hub_is_away

# Every load reports the pooling layer's weights as unused and draws a bar; only downloads are worth a bar.
hf_logging.set_verbosity_error()
hf_logging.disable_progress_bar()
enable_progress_bars()


class TextClassifier(nn.Module):
    """Any encoder of the Hugging Face hub, pooled, with the head of RoBERTa (dense, tanh, projection).

    Args:
        pretrained: Name on the hub or local folder (``config.json``, ``model.safetensors``).
        num_classes: C.
        dropout: Dropout of hidden states and of the head.
        attention_dropout: Dropout of attention probabilities.
        pooling: ``first`` token or ``mean`` of tokens.
        embeddings: Word embeddings that learn: ``all``, those of tokens that occur (``used``, see ``prepare``), or none
            (``frozen``).
        fast_dropout: Draw dropout by ``FastDropout``.
        short_last_layer: Compute only the first token of the last layer, where that is the one pooled.
        gradient_checkpointing: Keep only the input of each layer and compute the rest again in the backward pass.
        attention: Attention backend of transformers (``sdpa``, ``eager``, ``matmul``), or ``packed``, which spares
            every layer the padding.
        with_weights: Load the pretrained weights; False leaves them random, for a checkpoint that follows.

    Raises:
        UserError: The model cannot be found or loaded, or not be packed.
    """

    def __init__(
        self,
        pretrained: str,
        num_classes: int,
        *,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        pooling: Literal["first", "mean"] = "first",
        embeddings: Literal["all", "used", "frozen"] = "all",
        fast_dropout: bool = False,
        short_last_layer: bool = False,
        gradient_checkpointing: bool = False,
        attention: str = "sdpa",
        with_weights: bool = True,
    ) -> None:
        super().__init__()
        config = load_config(pretrained)
        _set_dropout(config, "dropout", ("hidden_dropout_prob", "dropout", "mlp_dropout"), dropout)
        names = ("attention_probs_dropout_prob", "attention_dropout")
        _set_dropout(config, "attention_dropout", names, attention_dropout)
        self.backbone = _load_backbone(pretrained, config, attention, with_weights)
        self.backbone.train()  # from_pretrained leaves evaluation mode, and the Trainer would keep it: no dropout
        if getattr(self.backbone, "pooler", None) is not None:
            self.backbone.pooler = None  # type: ignore[assignment]  # nothing uses it, so it would get no gradient, and DDP stops on that
        self.pool = POOLINGS[pooling]
        self.head = ClassificationHead(config.hidden_size, num_classes, dropout, config.initializer_range)
        self.embeddings = embeddings
        if embeddings == "frozen":
            self.backbone.get_input_embeddings().requires_grad_(False)
        if fast_dropout:
            use_fast_dropout(self)
        self.is_short = False
        if short_last_layer and pooling == "first" and attention in (*MASKED_BY_ROWS, PACKED):
            self.is_short = keep_first_token_only(self.layers()[-1])
        if gradient_checkpointing:
            self.backbone.activation_checkpointing_enable({"use_reentrant": False})

    def prepare(self, used_tokens: np.ndarray) -> None:
        """Make ready for training on data in which only these token ids occur [U]; before the optimizer is built."""
        if self.embeddings == "used":
            table = self.backbone.get_input_embeddings()
            assert isinstance(table, nn.Embedding)
            rows = used_tokens[used_tokens < table.num_embeddings]
            self.backbone.set_input_embeddings(UsedRowsEmbedding(table, rows))

    def compile_encoder(self, whole: bool = False, backend: str = "inductor") -> None:
        """Compile for all widths, in place: names in checkpoints stay.

        Args:
            whole: All as one; by default each layer, so that equal layers share their code.
            backend: Compiler, by the name that ``torch.compile`` has for it.
        """
        for module in (self.backbone,) if whole else self.layers():
            module.compile(backend=backend, dynamic=True)

    @property
    def config(self) -> PretrainedConfig:
        """Configuration of the encoder, as transformers saves it."""
        return self.backbone.config

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Score a batch.

        Returns:
            ``logits`` [B, C] and ``embeddings`` [B, D], the pooled vectors.
        """
        inputs = {name: batch[name] for name in MODEL_INPUTS if name in batch}
        if self.config._attn_implementation == PACKED:
            hidden = self._encode_packed(inputs)
        else:
            hidden = self.backbone(**inputs).last_hidden_state
        pooled = self.pool(hidden, batch["attention_mask"])
        return {"logits": self.head(pooled), "embeddings": pooled}

    def _encode_packed(self, inputs: dict[str, Tensor]) -> Tensor:
        """[B, T, D], or [B, 1, D] where the last layer is short."""
        packing = Packing.of(inputs.pop("attention_mask"))
        packed = {name: packing.pack(value) for name, value in inputs.items()}
        positions = packing.columns + _first_position(self.config)
        hidden = self.backbone(**packed, position_ids=positions, packing=packing).last_hidden_state
        return hidden if self.is_short else packing.pad(hidden)

    def parameter_depths(self) -> dict[str, int]:
        """Depth of each parameter by name: 0 for embeddings, 1 ... L for layers from below, L + 1 for the head."""
        layers = self.layers()
        of_layers = {id(p): depth for depth, layer in enumerate(layers, start=1) for p in layer.parameters()}
        return {
            name: of_layers.get(id(p), len(layers) + 1 if name.startswith("head.") or ".final" in name else 0)
            for name, p in self.named_parameters()
        }

    def layers(self) -> nn.ModuleList:
        """The encoder's layers from below: its list of ``num_hidden_layers`` modules."""
        for module in self.modules():
            if isinstance(module, nn.ModuleList) and len(module) == self.config.num_hidden_layers:
                return module
        raise UserError(
            f"model.pretrained={self.config.name_or_path}",
            found="no list of layers in the encoder",
            expected=f"a list of {self.config.num_hidden_layers} layers",
            fix=_EMBEDDED,
        )


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


def load_config(pretrained: str) -> PretrainedConfig:
    """Read the configuration of an encoder, from the hub, its cache or a local folder; one with code is refused."""
    if not Path(pretrained).is_dir():
        use_cache_where_the_hub_is_away()
    try:
        if "auto_map" in PretrainedConfig.get_config_dict(pretrained)[0]:
            raise UserError(
                f"model.pretrained={pretrained}",
                found="a model that brings Python code of its own (auto_map in its config.json)",
                expected="an encoder of transformers itself: nothing that is downloaded is executed",
                fix=f"{_EMBEDDED}; or, if its model_type is one of transformers, delete auto_map from its config.json",
            )
        return AutoConfig.from_pretrained(pretrained, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _unreachable(pretrained, error) from error


def checkpoint_bytes(pretrained: str) -> int:
    """Bytes that a training checkpoint takes at least: weights, and the moments of all but the embeddings, in fp32."""
    with torch.device("meta"):
        model = AutoModel.from_config(load_config(pretrained))
    everything = sum(parameter.numel() for parameter in model.parameters())
    return 4 * everything + 8 * (everything - model.get_input_embeddings().weight.numel())


def _set_dropout(config: PretrainedConfig, key: str, names: Sequence[str], rate: float) -> None:
    """Set a rate under the name that this family of encoders has for it; one that sets nothing is an error."""
    name = next((name for name in names if hasattr(config, name)), None)
    if name is None:
        raise UserError(
            f"model.network.{key}",
            found=f"no such rate in {config.model_type}",
            expected=f"one of {', '.join(names)} in its configuration",
            fix=_EMBEDDED,
        )
    if not 0 <= rate < 1:
        raise UserError(
            f"model.network.{key}", found=str(rate), expected="0 <= rate < 1", fix=f"set model.network.{key}=0.1"
        )
    setattr(config, name, rate)


_EMBEDDED = "leave model.pretrained away and set model=minilm"
_LIKE_ROBERTA = ("camembert", "mpnet", "data2vec-text")  # its kin by another name


def max_positions(config: PretrainedConfig) -> int:
    """Tokens that the encoder takes at most."""
    return config.max_position_embeddings - _first_position(config)


def _first_position(config: PretrainedConfig) -> int:
    """Position of the first token; RoBERTa and its kin lose two to the padding index."""
    is_like_roberta = "roberta" in config.model_type or config.model_type in _LIKE_ROBERTA
    return config.pad_token_id + 1 if is_like_roberta else 0


def _load_backbone(pretrained: str, config: PretrainedConfig, attention: str, with_weights: bool) -> PreTrainedModel:
    backend = None if attention == "sdpa" else attention  # None: sdpa, or eager where an encoder has none
    if not with_weights:
        backbone = AutoModel.from_config(config, attn_implementation=backend)
    else:
        try:
            backbone = AutoModel.from_pretrained(
                pretrained,
                config=config,
                attn_implementation=backend,
                dtype=torch.float32,
                trust_remote_code=False,
            )
        except (OSError, ValueError) as error:
            raise _unreachable(pretrained, error) from error
    layers = {type(module).__name__ for module in backbone.modules()}
    if attention == PACKED and not layers.intersection(LIKE_BERT):
        raise UserError(
            "trainer.attention=packed",
            found=f"an encoder of the kind {config.model_type}",
            expected="one with layers like BERT's (BERT, RoBERTa, XLM-R, ELECTRA and their kin)",
            fix="set trainer.attention=auto",
        )
    if attention == MATMUL and not (backbone._supports_sdpa and backbone._can_set_attn_implementation()):
        backbone.config._attn_implementation = "eager"  # has an attention of its own, and would misread matmul's mask
    return backbone


def _unreachable(pretrained: str, error: Exception) -> UserError:
    if Path(pretrained).is_dir():
        return UserError(
            f"model.pretrained={pretrained}",
            found=f"a folder that does not load ({one_line(error)})",
            expected="config.json, model.safetensors and tokenizer.json of one encoder",
            fix=f"hf download <owner>/<name> --local-dir {pretrained} puts it right, or {_EMBEDDED}",
        )
    return UserError(
        f"model.pretrained={pretrained}",
        found=f"no such model in reach ({type(error).__name__}: hub not reachable, or wrong name)",
        expected="a model on the hub, in the cache that HF_HOME names, or a local folder",
        fix=f"{_EMBEDDED} (embedded); or, where there is a network, hf download {pretrained}",
    )
