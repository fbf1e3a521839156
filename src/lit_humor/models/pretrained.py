"""Encoders of transformers by name or folder: configuration, weights, sizes; nothing that is downloaded is executed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from huggingface_hub.utils import enable_progress_bars
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as hf_logging

from lit_humor.core.errors import UserError, one_line
from lit_humor.models.attention import MATMUL
from lit_humor.models.last_layer import BERT_LIKE_LAYERS
from lit_humor.models.packing import PACKED
from lit_humor.models.reach import use_cache_if_hub_is_unreachable

# Every load reports the pooling layer's weights as unused and draws a bar; only downloads are worth a bar.
hf_logging.set_verbosity_error()
hf_logging.disable_progress_bar()
enable_progress_bars()

EMBEDDED = "leave model.pretrained away and set model=minilm"
_LIKE_ROBERTA = ("camembert", "mpnet", "data2vec-text")  # its kin by another name


def load_config(pretrained: str) -> PretrainedConfig:
    """Read the configuration of an encoder, from the hub, its cache or a local folder; one with code is refused."""
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
        raise _unreachable(pretrained, error) from error


def checkpoint_bytes(pretrained: str) -> int:
    """Bytes that a training checkpoint takes at least: weights, and the moments of all but the embeddings, in fp32."""
    with torch.device("meta"):
        model = AutoModel.from_config(load_config(pretrained))
    everything = sum(parameter.numel() for parameter in model.parameters())
    return 4 * everything + 8 * (everything - model.get_input_embeddings().weight.numel())


def set_dropout(config: PretrainedConfig, key: str, names: Sequence[str], rate: float) -> None:
    """Set a rate under the name that this family of encoders has for it; one that sets nothing is an error."""
    name = next((name for name in names if hasattr(config, name)), None)
    if name is None:
        raise UserError(
            f"model.network.{key}",
            found=f"no such rate in {config.model_type}",
            expected=f"one of {', '.join(names)} in its configuration",
            fix=EMBEDDED,
        )
    if not 0 <= rate < 1:
        raise UserError(
            f"model.network.{key}", found=str(rate), expected="0 <= rate < 1", fix=f"set model.network.{key}=0.1"
        )
    setattr(config, name, rate)


def max_positions(config: PretrainedConfig) -> int:
    """Tokens that the encoder takes at most."""
    return config.max_position_embeddings - first_position(config)


def check_max_length(max_length: int, pretrained: str) -> None:
    """Refuse rows of more tokens than an encoder has positions for.

    Raises:
        UserError: ``max_length`` is too large.
    """
    config = load_config(pretrained)
    if max_length > max_positions(config):
        raise UserError(
            "data.max_length",
            found=str(max_length),
            expected=f"at most {max_positions(config)}, the positions of {config.model_type}",
            fix=f"set data.max_length={max_positions(config)}",
        )


def first_position(config: PretrainedConfig) -> int:
    """Position of the first token; RoBERTa and its kin lose two to the padding index."""
    is_like_roberta = "roberta" in config.model_type or config.model_type in _LIKE_ROBERTA
    return config.pad_token_id + 1 if is_like_roberta else 0


def load_backbone(pretrained: str, config: PretrainedConfig, attention: str, with_weights: bool) -> PreTrainedModel:
    """Build an encoder.

    Args:
        pretrained: Name on the hub or local folder.
        config: Its configuration, with the dropout to use.
        attention: Attention backend.
        with_weights: Load its weights; False leaves its parameters without values, on the meta device.

    Raises:
        UserError: It does not load, or has no layers that can be packed.
    """
    backend = None if attention == "sdpa" else attention  # None: sdpa, or eager where an encoder has none
    if not with_weights:
        backbone = _without_values(lambda: AutoModel.from_config(config, attn_implementation=backend))
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
    if attention == PACKED and not layers.intersection(BERT_LIKE_LAYERS):
        raise UserError(
            "trainer.attention=packed",
            found=f"an encoder of the kind {config.model_type}",
            expected="one with layers like BERT's (BERT, RoBERTa, XLM-R, ELECTRA and their kin)",
            fix="set trainer.attention=auto",
        )
    if attention == MATMUL and not (backbone._supports_sdpa and backbone._can_set_attn_implementation()):
        backbone.config._attn_implementation = "eager"  # has an attention of its own, and would misread matmul's mask
    return backbone


def _without_values(build: Callable[[], PreTrainedModel]) -> PreTrainedModel:
    """Build an encoder whose parameters cost neither time nor memory, for values that follow; buffers have theirs.

    An encoder that needs the values of its parameters to be built is built with random ones.
    """
    hook = register_module_parameter_registration_hook(_to_meta)  # type: ignore[arg-type]  # it may return a value
    try:
        backbone = build()
    except (RuntimeError, NotImplementedError):  # it reads a value
        backbone = None
    finally:
        hook.remove()
    return build() if backbone is None or _derives_from_parameters(backbone) else backbone


def _derives_from_parameters(backbone: nn.Module) -> bool:
    """Whether it keeps tensors, in buffers or elsewhere, that were computed of parameters without values."""
    kept = itertools.chain(backbone.buffers(), *(vars(module).values() for module in backbone.modules()))
    return any(isinstance(one, Tensor) and one.is_meta for one in kept)


def _to_meta(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter | None:
    """What is registered in the place of a parameter; one that is shared by two modules stays one."""
    return None if parameter.is_meta else nn.Parameter(parameter.to("meta"), parameter.requires_grad)


def _unreachable(pretrained: str, error: Exception) -> UserError:
    if Path(pretrained).is_dir():
        return UserError(
            f"model.pretrained={pretrained}",
            found=f"a folder that does not load ({one_line(error)})",
            expected="config.json, model.safetensors and tokenizer.json of one encoder",
            fix=f"hf download <owner>/<name> --local-dir {pretrained} puts it right, or {EMBEDDED}",
        )
    return UserError(
        f"model.pretrained={pretrained}",
        found=f"no such model in reach ({type(error).__name__}: hub not reachable, or wrong name)",
        expected="a model on the hub, in the cache that HF_HOME names, or a local folder",
        fix=f"{EMBEDDED} (embedded); or, where there is a network, hf download {pretrained}",
    )
