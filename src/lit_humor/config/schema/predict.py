"""Types of the configuration of predict.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from lit_humor.config.fields import PathsConfig
from lit_humor.core.bounds import bounded

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class PredictConfig:
    """The whole configuration of predict.py."""

    run: Optional[str] = None
    runs: Optional[list[str]] = None
    ckpt: Optional[str] = None
    text: Optional[str] = None  # read from the command line before Hydra
    setup: Optional[str] = None  # as text
    question: Optional[str] = None  # as text
    image: Optional[str] = None  # as text
    query: Optional[str] = None  # as text
    against: Optional[str] = None
    k: int = bounded(5, least=1, usual=5)
    input: Optional[str] = None
    output: Optional[str] = None
    text_column: Optional[str] = None
    text_pair_column: Optional[str] = None
    quoting: Optional[str] = None
    threshold: Any = None  # a number or "tuned"
    pseudo_labels: Any = None  # a number, or one for each class
    calibration: Optional[str] = None
    explain: bool = False
    paths: PathsConfig = field(default_factory=PathsConfig)
