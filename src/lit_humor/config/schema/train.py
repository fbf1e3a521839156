"""Types of the configuration of train.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Union

from omegaconf import MISSING

from lit_humor.config.fields import ModelConfig, PathsConfig
from lit_humor.core.bounds import bounded

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP007, UP045


@dataclass
class TrainerConfig:
    """How long and on what to train; ``auto`` leaves a choice to the hardware plan."""

    accelerator: str = "auto"
    devices: Union[int, str] = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    micro_batch_size: Union[int, str] = "auto"
    max_tokens: Optional[Union[int, str]] = "auto"
    num_workers: Union[int, str] = "auto"
    attention: str = "auto"
    compile: Union[bool, str] = "auto"
    accumulation: int = bounded(MISSING, least=1, usual=4)
    max_epochs: int = bounded(MISSING, least=1, usual=4)
    schedule_epochs: Optional[int] = bounded(None, least=1, usual=4)  # None: max_epochs
    gradient_clip_val: float = bounded(MISSING, least=0, usual=1)
    log_every_n_steps: int = bounded(MISSING, least=1, usual=10)
    deterministic: bool = MISSING
    validate_every_steps: Optional[int] = bounded(None, least=1, usual=200)
    checkpoint_every: Optional[Union[int, str]] = None
    keep: int = MISSING


@dataclass
class TrainConfig:
    """The whole configuration of train.py."""

    seed: int = MISSING
    run_id: Optional[str] = None
    resume: Optional[str] = None
    init_from: Optional[str] = None
    recover: bool = False
    baseline: bool = True
    report: bool = True
    monitor: str = MISSING
    mode: str = MISSING
    tasks: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: dict[str, Any] = MISSING
    regularizers: dict[str, Any] = field(default_factory=dict)
    optim: dict[str, Any] = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    paths: PathsConfig = field(default_factory=PathsConfig)
