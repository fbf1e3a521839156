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
    """The whole configuration of sweep.py, except the settings of the runs themselves."""

    n: int = MISSING
    each: Optional[str] = None
    variants: dict[str, Any] = field(default_factory=dict)  # name: settings
    tricks: dict[str, Any] = field(default_factory=dict)  # name: settings, added to those of the first variant
    together: list[str] = field(default_factory=list)  # names of tricks
    space: dict[str, Any] = field(default_factory=dict)  # key: values, or a range
    after: dict[str, Any] = field(default_factory=dict)  # name: one name, or several
    join_predictions: bool = False  # write the test predictions of all runs to one file
    matrix: Optional[str] = (
        None  # a slice column: table of evaluations, one row for each model, one column for each value
    )
    metric: Optional[str] = None  # of intervals and differences; null: the one that chooses checkpoints
    slots: int = MISSING
    budget: Optional[str] = None
    launch: Any = MISSING
    name: Optional[str] = None
    dry_run: bool = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)
