"""The factor that adapts a recipe's learning rate to an encoder: ``model.lr_scale``, a number or auto.

The recipes' rates are meant for XLM-R large, whose hidden size is 1024. With Adam, the change of a layer's
output per step grows with the layer's width, so a narrower encoder needs a learning rate that is higher by as much.

Source: Yang et al. 2022, Tensor Programs V, table 3.
"""

from __future__ import annotations

from typing import Literal

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.frozen import changed
from lit_humor.config.validate import fits, wrong_value
from lit_humor.core.errors import UserError
from lit_humor.models.pretrained import Pretrained

AUTO = "auto"
_RECIPE_HIDDEN_SIZE = 1024
_KEY = "model.lr_scale"
_HINT = float | Literal["auto"] | None  # null is an error when the optimizer is built


def with_number(cfg: DictConfig) -> DictConfig:
    """Return the configuration with 1.0 instead of auto, so that its types can be checked before the encoder is known.

    Raises:
        UserError: ``model.lr_scale`` is neither a number nor auto.
    """
    value = OmegaConf.select(cfg, _KEY)
    if OmegaConf.is_config(value) or not fits(value, _HINT):
        raise wrong_value(_KEY, value, _HINT)
    return changed(cfg, {_KEY: 1.0}) if value == AUTO else cfg


def computed(cfg: DictConfig, pretrained: Pretrained) -> DictConfig:
    """Return the configuration with the encoder's number instead of auto: 1024 / hidden size, rounded to two digits.

    Raises:
        UserError: The encoder has no hidden size.
    """
    if OmegaConf.select(cfg, _KEY) != AUTO:
        return cfg
    config = pretrained.config
    hidden_size = getattr(config, "hidden_size", None)
    if not hidden_size:
        found, expected = f"auto, but {config.model_type} has no hidden_size", "a number"
        raise UserError(_KEY, found=found, expected=expected, fix=f"set {_KEY}=1")
    return changed(cfg, {_KEY: round(_RECIPE_HIDDEN_SIZE / hidden_size, 2)})
