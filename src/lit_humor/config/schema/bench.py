"""Types of the configuration of bench.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from omegaconf import MISSING

from lit_humor.config.fields import ModelConfig, PathsConfig

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class BenchConfig:
    """The whole configuration of bench.py."""

    suite: str = MISSING
    experiment: Optional[str] = None
    debug: Optional[str] = None
    name: Optional[str] = None
    model: ModelConfig = field(default_factory=ModelConfig)
    profile: str = MISSING
    repeats: int = MISSING
    steps: int = MISSING
    rows: Optional[int] = None
    compiled: bool = MISSING
    compile_seconds: int = MISSING
    minutes: float = MISSING
    memory: bool = MISSING
    sizes: list[int] = MISSING
    train_path: Optional[str] = None
    val_path: Optional[str] = None
    experiments: list[str] = MISSING
    seeds: list[int] = MISSING
    max_epochs: Optional[int] = None
    output: str = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
