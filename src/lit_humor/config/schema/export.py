"""Types of the configuration of export.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from omegaconf import MISSING

from lit_humor.config.fields import PathsConfig

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class ExportConfig:
    """The whole configuration of export.py."""

    run: Optional[str] = None
    to: str = MISSING
    vocabulary: str = MISSING
    output: Optional[str] = None
    push: Optional[str] = None
    private: bool = True
    paths: PathsConfig = field(default_factory=PathsConfig)
