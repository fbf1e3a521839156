"""Types of the configuration of report.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from omegaconf import MISSING

from lit_humor.config.fields import PathsConfig

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class ReportConfig:
    """The whole configuration of report.py."""

    run: Optional[str] = None
    runs: Optional[list[str]] = None
    output: Optional[str] = None
    quoting: str = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
