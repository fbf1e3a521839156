"""Loads encoders of transformers by name or folder: configuration, weights, sizes; runs no downloaded code."""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils import enable_progress_bars
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as hf_logging

from lit_humor.core.errors import UserError, one_line, shorten
from lit_humor.models.attention import MATMUL
from lit_humor.models.last_layer import BERT_LIKE_LAYERS
from lit_humor.models.packing import PACKED
from lit_humor.models.reach import use_cache_if_hub_is_unreachable

# Every load would report unused weights of the pooling layer and show a progress bar; keep bars for downloads only.
hf_logging.set_verbosity_error()
hf_logging.disable_progress_bar()
enable_progress_bars()

EMBEDDED = "leave model.pretrained away and set model=minilm"
_ROBERTA_LIKE = ("camembert", "mpnet", "data2vec-text")  # same architecture under another name


class Pretrained:
    """A pretrained encoder of texts: a name on the hub, a folder, or ``backbone/`` of a run folder.

    Networks of another kind have a subclass in ``Network.loaded_from``. Its parts are loaded once, when they are used.

    Args:
        name: Name or folder.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def config(self) -> PretrainedConfig:
        """The configuration; see ``load_config``."""
        return load_config(self.name)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; see ``load_tokenizer``."""
        return load_tokenizer(self.name)

    @property
    def longest_input(self) -> int:
        """Most tokens of a row; an encoder that states no number of positions takes any."""
        positions = getattr(self.config, "max_position_embeddings", None) or sys.maxsize
        return positions - first_position(self.config)

    def check_max_length(self, max_length: int) -> None:
        """Check that the encoder has enough positions for rows of ``max_length`` tokens.

        Raises:
            UserError: ``max_length`` is too large.
        """
        if max_length > self.longest_input:
            raise UserError(
                "data.max_length",
                found=str(max_length),
                expected=f"at most {self.longest_input}, the positions of {self.config.model_type}",
                fix=f"set data.max_length={self.longest_input}",
            )

    def checkpoint_bytes(self) -> int:
        """Return the least bytes of a training checkpoint: fp32 weights, and moments of all but the embeddings."""
        with torch.device("meta"):
            model = AutoModel.from_config(self.config)
        num_parameters = sum(parameter.numel() for parameter in model.parameters())
        return 4 * num_parameters + 8 * (num_parameters - model.get_input_embeddings().weight.numel())

    def load_table(self) -> Tensor:
        """Return the pretrained word embeddings [V, D] in fp32, as training starts from them."""
        embeddings = load_backbone(self.name, self.config, "sdpa", with_weights=True).get_input_embeddings()
        assert isinstance(embeddings, nn.Embedding)
        return embeddings.weight.detach()

    def save(self, folder: Path, config: PretrainedConfig | None, class_names: Sequence[str]) -> None:
        """Write configuration and tokenizer, so that the run loads without the hub.

        Args:
            folder: ``backbone/`` of the run folder.
            config: Configuration of the network, with its dropout; None writes that of the pretrained model.
            class_names: In class order; empty if the run has no classes.
        """
        config = config or self.config
        if class_names:
            config.id2label = dict(enumerate(class_names))
            config.label2id = {name: index for index, name in enumerate(class_names)}
        config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_config(pretrained: str) -> PretrainedConfig:
    """Read the configuration of an encoder from the hub, its cache or a local folder.

    Raises:
        UserError: The model cannot be found, or brings its own Python code.
    """
    if not Path(pretrained).is_dir():
        use_cache_if_hub_is_unreachable()
    try:
        if "auto_map" in PretrainedConfig.get_config_dict(pretrained)[0]:
            raise UserError(
                f"model.pretrained={pretrained}",
                found="a model that brings Python code of its own (auto_map in its config.json)",
                expected="an encoder of transformers itself: nothing that is downloaded is executed",
                fix=f"{EMBEDDED}; or, if its model_type is one of transformers, delete auto_map from its config.json",
            )
        return AutoConfig.from_pretrained(pretrained, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _loading_error(pretrained, error) from error


def load_tokenizer(folder: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a pretrained model; only fast tokenizers, never code that the folder brings."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.pretrained={folder}",
            found=f"no tokenizer that loads ({shorten(str(error), 120)})",
            expected="tokenizer.json beside config.json",
            fix=f"hf download <owner>/<name> --local-dir {shlex.quote(folder)} puts it right, or {EMBEDDED}",
        ) from error
    if not tokenizer.is_fast:
        raise UserError(
            f"model.pretrained={folder}",
            found="a tokenizer without tokenizer.json",
            expected="a fast tokenizer",
            fix=EMBEDDED,
        )
    if tokenizer.pad_token is None:  # decoders often have none; the mask hides what stands there
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def first_position(config: PretrainedConfig) -> int:
    """Return the position of the first token: behind the padding index for RoBERTa-like encoders, else 0."""
    is_roberta_like = "roberta" in config.model_type or config.model_type in _ROBERTA_LIKE
    return config.pad_token_id + 1 if is_roberta_like else 0


def load_backbone(
    pretrained: str | None,
    config: PretrainedConfig,
    attention: str,
    with_weights: bool,
    kind: Any = AutoModel,
    **loading: Any,
) -> PreTrainedModel:
    """Build a model with an attention backend that it supports.

    Args:
        pretrained: Name on the hub or local folder; None: its weights are random.
        config: Its configuration, with the dropout to use.
        attention: Attention backend.
        with_weights: Load its weights; False leaves its parameters without values, on the meta device.
        kind: Class of transformers that builds it: without a head, or for example ``AutoModelForCausalLM``.
        loading: More arguments of ``from_pretrained``; by default its weights become fp32.

    Raises:
        UserError: The encoder cannot be loaded, or does not support packing.
    """
    backend = None if attention == "sdpa" else attention  # None: sdpa, or eager if the encoder has no sdpa
    if not with_weights:
        backbone = _without_values(lambda: kind.from_config(config, attn_implementation=backend))
    elif pretrained is None:
        backbone = kind.from_config(config, attn_implementation=backend)
    else:
        try:
            backbone = kind.from_pretrained(
                pretrained,
                config=config,
                attn_implementation=backend,
                trust_remote_code=False,
                **{"dtype": torch.float32, **loading},
            )
        except (OSError, ValueError) as error:
            raise _loading_error(pretrained, error) from error
    layers = {type(module).__name__ for module in backbone.modules()}
    if attention == PACKED and not layers.intersection(BERT_LIKE_LAYERS):
        raise UserError(
            "trainer.attention=packed",
            found=f"an encoder of the kind {config.model_type}",
            expected="one with layers like BERT's (BERT, RoBERTa, XLM-R, ELECTRA and similar ones)",
            fix="set trainer.attention=auto",
        )
    if attention == MATMUL and not (backbone._supports_sdpa and backbone._can_set_attn_implementation()):
        backbone.config._attn_implementation = "eager"  # with its own attention it would misread the mask of matmul
    return backbone


def _without_values(build: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """Build an encoder with parameters on the meta device, which take no time and memory; buffers have their values.

    An encoder whose construction needs the values of its parameters is built with random values instead.
    """
    hook = register_module_parameter_registration_hook(_to_meta)  # type: ignore[arg-type]  # it may return a value
    try:
        backbone = build()
    except (RuntimeError, NotImplementedError):  # it reads a value of a parameter
        backbone = None
    finally:
        hook.remove()
    return build() if backbone is None or _derives_from_parameters(backbone) else backbone


def _derives_from_parameters(backbone: nn.Module) -> bool:
    """Whether the encoder keeps meta tensors other than parameters, which were computed from parameters."""
    values = itertools.chain(backbone.buffers(), *(vars(module).values() for module in backbone.modules()))
    return any(isinstance(value, Tensor) and value.is_meta for value in values)


def _to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
    """Hook: replace a parameter by one on the meta device; a shared parameter stays shared (None: no change)."""
    return None if parameter.is_meta else nn.Parameter(parameter.to("meta"), parameter.requires_grad)


def _loading_error(pretrained: str, error: Exception) -> UserError:
    """The error for a model that cannot be loaded from its folder, or not be found on the hub."""
    if Path(pretrained).is_dir():
        return UserError(
            f"model.pretrained={pretrained}",
            found=f"a folder that does not load ({one_line(error)})",
            expected="config.json, model.safetensors and tokenizer.json of one encoder",
            fix=f"hf download <owner>/<name> --local-dir {shlex.quote(pretrained)} puts it right, or {EMBEDDED}",
        )
    return UserError(
        f"model.pretrained={pretrained}",
        found=f"no such model in reach ({type(error).__name__}: hub not reachable, or wrong name)",
        expected="a model on the hub, in the cache that HF_HOME names, or a local folder",
        fix=f"{EMBEDDED} (embedded); or, where there is a network, hf download {pretrained}",
    )


def checkpoint_activations(backbone: PreTrainedModel) -> None:
    """Have an encoder keep only the input of each layer and compute the rest again in the backward pass.

    Raises:
        UserError: It cannot.
    """
    try:
        backbone.activation_checkpointing_enable({"use_reentrant": False})
    except ValueError as error:
        raise UserError(
            "model.network.gradient_checkpointing",
            found=f"true, which {backbone.config.model_type} does not support",
            expected="false",
            fix="set model.network.gradient_checkpointing=false",
        ) from error


def find_layers(network: nn.Module, config: PretrainedConfig) -> nn.ModuleList:
    """Return the layers of an encoder, bottom to top: its list of ``num_hidden_layers`` modules.

    ALBERT runs through the same layers several times; its layers here are the groups that have weights of their own.

    Raises:
        UserError: There is no such list.
    """
    count = getattr(config, "num_hidden_groups", config.num_hidden_layers)
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise UserError(
        f"model.pretrained={config.name_or_path}",
        found="no list of layers in the encoder",
        expected=f"a list of {count} layers",
        fix=EMBEDDED,
    )
