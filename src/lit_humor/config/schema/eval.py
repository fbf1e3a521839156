"""Types of the configuration of eval.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from omegaconf import MISSING

from lit_humor.config.fields import PathsConfig

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class EvalConfig:
    """The whole configuration of eval.py."""

    run: Optional[str] = None
    runs: Optional[list[str]] = None
    soup: bool = False
    ckpt: Optional[str] = None
    split: Optional[str] = None
    calibrate: bool = False
    passes: int = MISSING
    output: Optional[str] = None
    seed: int = MISSING
    data: Optional[dict[str, Any]] = None
    paths: PathsConfig = field(default_factory=PathsConfig)
