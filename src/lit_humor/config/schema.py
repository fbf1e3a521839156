"""Types of the configuration: what Hydra checks before anything of ours runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Union

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from lit_humor.core.bounds import bounded
from lit_humor.core.place import ROOT_DIR

# OmegaConf reads the annotations at run time and does not know X | Y in all places.
# ruff: noqa: UP007, UP045

IS_TEXT = "is_text"  # metadata of what OmegaConf must take as Any: typed, it is a text


@dataclass
class PathsConfig:
    """Folders of the checkout and of the run."""

    root_dir: str = MISSING
    logs_dir: str = MISSING
    cache_dir: str = MISSING
    run_dir: str = MISSING


@dataclass
class ModelConfig:
    """A network, where its weights come from, and the factor of its learning rate."""

    network: dict[str, Any] = MISSING
    pretrained: Any = field(default=MISSING, metadata={IS_TEXT: True})  # a name, a folder, or a node that returns one
    lr_scale: float = MISSING


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
    schedule_epochs: int = bounded(MISSING, least=1, usual=4)
    gradient_clip_val: float = bounded(MISSING, least=0, usual=1)
    log_every_n_steps: int = bounded(MISSING, least=1, usual=10)
    deterministic: bool = MISSING
    checkpoint_every: Optional[Union[int, str]] = None
    keep: int = MISSING


@dataclass
class TrainConfig:
    """Everything of a training."""

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
    optim: dict[str, Any] = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class EvalConfig:
    """Everything of an evaluation."""

    run: Optional[str] = None
    runs: Optional[list[str]] = None
    ckpt: Optional[str] = None
    split: Optional[str] = None
    passes: int = MISSING
    output: Optional[str] = None
    seed: int = MISSING
    data: Optional[dict[str, Any]] = None
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class PredictConfig:
    """Everything of a prediction."""

    run: Optional[str] = None
    ckpt: Optional[str] = None
    text: Optional[str] = None  # taken off the command line before Hydra reads it
    input: Optional[str] = None
    output: Optional[str] = None
    text_column: Optional[str] = None
    text_pair_column: Optional[str] = None
    quoting: Optional[str] = None
    threshold: Any = None  # a number or "tuned"
    explain: bool = False
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class ServeConfig:
    """Everything of a server."""

    run: Optional[str] = None
    ckpt: Optional[str] = None
    host: str = MISSING
    port: int = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class ExportConfig:
    """Everything of an export."""

    run: Optional[str] = None
    to: str = MISSING
    output: Optional[str] = None
    push: Optional[str] = None
    private: bool = True
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class ReportConfig:
    """Everything of a report."""

    run: Optional[str] = None
    runs: Optional[list[str]] = None
    output: Optional[str] = None
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class AuditConfig:
    """Everything of an audit."""

    similarity: float = MISSING
    fix: Optional[str] = None
    run_id: Optional[str] = None
    seed: int = MISSING
    data: dict[str, Any] = MISSING
    model: ModelConfig = field(default_factory=ModelConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class BenchConfig:
    """Everything of a benchmark."""

    suite: str = MISSING
    name: Optional[str] = None
    model: ModelConfig = field(default_factory=ModelConfig)
    profile: str = MISSING
    repeats: int = MISSING
    steps: int = MISSING
    rows: Optional[int] = None
    compiled: bool = MISSING
    memory: bool = MISSING
    sizes: list[int] = MISSING
    train_path: Optional[str] = None
    val_path: Optional[str] = None
    experiments: list[str] = MISSING
    seeds: list[int] = MISSING
    max_epochs: Optional[int] = None
    output: str = MISSING
    paths: PathsConfig = field(default_factory=PathsConfig)


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


SCHEMAS = {
    "train": TrainConfig,
    "eval": EvalConfig,
    "predict": PredictConfig,
    "export": ExportConfig,
    "serve": ServeConfig,
    "report": ReportConfig,
    "audit": AuditConfig,
    "bench": BenchConfig,
    "sweep": SweepConfig,
}  # by the name of the command


def register_schemas() -> None:
    """Make the types, and ``${root_dir:}``, known to Hydra."""
    OmegaConf.register_new_resolver("root_dir", lambda: str(ROOT_DIR), replace=True)
    for name, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=schema)
