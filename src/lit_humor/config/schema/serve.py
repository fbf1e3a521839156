"""Types of the configuration of serve.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from omegaconf import MISSING

from lit_humor.config.fields import PathsConfig

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class ServeConfig:
    """The whole configuration of serve.py."""

    run: Optional[str] = None
    ckpt: Optional[str] = None
    host: str = MISSING
    port: int = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
