"""Types of the configuration of audit.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from omegaconf import MISSING

from lit_humor.config.fields import ModelConfig, PathsConfig
from lit_humor.core.bounds import bounded

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class AuditConfig:
    """The whole configuration of audit.py."""

    similarity: float = MISSING
    vectors: Optional[str] = None
    vectors_similarity: float = bounded(0.85, above=0, most=1, usual=0.85)
    raters: Optional[list[str]] = None
    fix: Optional[str] = None
    run_id: Optional[str] = None
    seed: int = MISSING
    data: dict[str, Any] = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
