"""Configurations into which nothing is written: what is to be other is a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf


def frozen(cfg: DictConfig) -> DictConfig:
    """A copy that refuses every write."""
    found = cfg.copy()
    OmegaConf.set_readonly(found, True)
    return found


def changed(cfg: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """A copy with other values, by whole key; frozen where the original is."""
    found, is_frozen = cfg.copy(), OmegaConf.is_readonly(cfg)
    OmegaConf.set_readonly(found, False)
    for key, value in settings.items():
        OmegaConf.update(found, key, value, merge=False)
    OmegaConf.set_readonly(found, is_frozen)
    return found
