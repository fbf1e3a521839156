"""Types of the configuration of sweep.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from omegaconf import MISSING

from lit_humor.config.fields import PathsConfig

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP045


@dataclass
class SweepConfig:
    """Everything of a plan of many runs, but for what each of them is made of."""

    n: int = MISSING
    each: Optional[str] = None
    variants: dict[str, Any] = field(default_factory=dict)  # name: settings
    space: dict[str, Any] = field(default_factory=dict)  # key: values, or a range
    after: dict[str, Any] = field(default_factory=dict)  # name: one name, or several
    join_predictions: bool = False  # the test rows of all runs in one file
    matrix: Optional[str] = None  # a slice column: evaluations by its values, a line for each model
    slots: int = MISSING
    budget: Optional[str] = None
    launch: Any = MISSING
    name: Optional[str] = None
    dry_run: bool = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
