"""Read-only configurations, and changed copies of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def frozen(cfg: DictConfig) -> DictConfig:
    """Return a read-only copy."""
    copy = cfg.copy()
    OmegaConf.set_readonly(copy, True)
    return copy


def changed(cfg: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """Return a copy with other values, given by full key; it is read-only if the original is."""
    copy, is_frozen = cfg.copy(), OmegaConf.is_readonly(cfg)
    OmegaConf.set_readonly(copy, False)
    for key, value in settings.items():
        OmegaConf.update(copy, key, value, merge=False)
    OmegaConf.set_readonly(copy, is_frozen)
    return copy
