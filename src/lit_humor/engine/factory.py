"""The one place that builds: from a configuration to plain Python objects."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, fields
from pathlib import Path

import lightning.pytorch as pl
from hydra.utils import instantiate
from lightning.pytorch.callbacks import LearningRateMonitor
from omegaconf import DictConfig, OmegaConf

from lit_humor.config.saved import open_run_dir
from lit_humor.config.validate import check_config
from lit_humor.core.errors import UserError
from lit_humor.core.seeds import derive_seed
from lit_humor.data.batches.datamodule import HumorDataModule
from lit_humor.data.batches.tokens import load_tokenizer
from lit_humor.data.settings import DataSettings
from lit_humor.engine.checkpoints import SafeCheckpointIO
from lit_humor.engine.hardware import ANYWHERE, FULL, Plan
from lit_humor.engine.loggers import open_loggers
from lit_humor.engine.weights import load_weights
from lit_humor.learning.learner import Learner
from lit_humor.metrics.classification import SCALARS, ClassificationMetrics
from lit_humor.models.pretrained import load_config, max_positions
from lit_humor.runs import record, screen

# What Python adds to a node when it builds it; the configuration need not, and may not, set these.
SUPPLIED = {
    "model.network": ("pretrained", "num_classes", "attention", "with_weights"),
    "objective": ("num_classes",),
}
_FLAT = {"data": DataSettings}
_LEAST = {  # key: its least value, and its usual one
    **{"trainer.max_epochs": (1, 4), "trainer.schedule_epochs": (1, 4), "trainer.accumulation": (1, 4)},
    **{"trainer.log_every_n_steps": (1, 10), "data.max_length": (3, 128), "data.pad_to_multiple_of": (1, 1)},
    **{"data.batch_size": (1, 8), "data.eval_batch_size": (1, 64)},
}
MONITORS = ("train/loss", *(f"val/{name}" for name in SCALARS))


@dataclass(frozen=True)
class TrainedRun:
    """A finished run, ready for ``trainer.test(run.learner, run.datamodule)``.

    Attributes:
        learner: With the weights of the checkpoint.
        datamodule: With the run's data, or other data.
        precision: Precision that the run was trained and scored with.
        folder: The run folder.
    """

    learner: Learner
    datamodule: HumorDataModule
    precision: str
    folder: Path


def validate(cfg: DictConfig) -> None:
    """Check the configuration against the classes it names, before anything is built."""
    check_config(cfg, SUPPLIED, _FLAT)
    for group in ("callbacks", "logger"):
        for name, node in (OmegaConf.select(cfg, group) or {}).items():
            if not (node is None or isinstance(node, DictConfig)):
                where, fix = f"{group}.{name}", f"set {group}.{name}=null to switch it off"
                raise UserError(where, found=str(node), expected="its settings, or null", fix=fix)
    for key, (least, usual) in _LEAST.items():
        value = OmegaConf.select(cfg, key)
        if value is not None and value < least:
            raise UserError(key, found=str(value), expected=f"at least {least}", fix=f"set {key}={usual}")
    clip = OmegaConf.select(cfg, "trainer.gradient_clip_val")
    if clip is not None and clip < 0:
        raise UserError(
            "trainer.gradient_clip_val", found=str(clip), expected="at least 0", fix="set trainer.gradient_clip_val=1"
        )
    for name, node in (OmegaConf.select(cfg, "callbacks") or {}).items():
        if node is not None and node.get("monitor") not in (None, *MONITORS):
            where = f"callbacks.{name}.monitor"
            raise UserError(
                where, found=node.monitor, expected=f"one of {', '.join(MONITORS)}", fix=f"set {where}=val/f1"
            )
    for key in ("data.val_fraction", "data.test_fraction"):
        value = OmegaConf.select(cfg, key)
        if value is not None and not 0 <= value < 1:
            raise UserError(key, found=str(value), expected="0 <= value < 1", fix=f"set {key}=0.1")
    alike = OmegaConf.select(cfg, "data.split_similarity")
    if alike is not None and not 0 < alike <= 1:
        where, expected = "data.split_similarity", "0 < value <= 1, or null"
        raise UserError(where, found=str(alike), expected=expected, fix=f"set {where}=0.6")


def pin_paths(cfg: DictConfig) -> None:
    """Make the paths of data and model absolute: the run then loads from any folder."""
    for key in (
        "data.train_path",
        "data.val_path",
        "data.test_path",
        "data.name",
        "data.difficulty_path",
        "model.pretrained",
        "init_from",
    ):
        value = OmegaConf.select(cfg, key)
        if isinstance(value, str) and Path(value).exists():
            OmegaConf.update(cfg, key, os.path.abspath(value))


def resolve_pretrained(cfg: DictConfig) -> str:
    """Name or folder of the pretrained encoder; ``max_length`` must fit it."""
    pretrained = cfg.model.pretrained
    if not isinstance(pretrained, str):
        pretrained = instantiate(pretrained)
    _check_max_length(cfg.data.max_length, pretrained)
    return pretrained


def _check_max_length(max_length: int, pretrained: str) -> None:
    config = load_config(pretrained)
    if max_length > max_positions(config):
        raise UserError(
            "data.max_length",
            found=str(max_length),
            expected=f"at most {max_positions(config)}, the positions of {config.model_type}",
            fix=f"set data.max_length={max_positions(config)}",
        )


def build_datamodule(data: DictConfig, pretrained: str, seed: int, plan: Plan | None) -> HumorDataModule:
    """Build source, tokenizer and datamodule; without a plan for evaluation only."""
    names = {f.name for f in fields(DataSettings)}
    nodes = {str(key): value for key, value in OmegaConf.to_container(data, resolve=True).items()}  # type: ignore[union-attr]
    settings = DataSettings(**{key: value for key, value in nodes.items() if key in names})
    source = instantiate({key: value for key, value in nodes.items() if key not in names}, _convert_="all")
    return HumorDataModule(
        source,
        load_tokenizer(pretrained),
        settings,
        with_token_types=getattr(load_config(pretrained), "type_vocab_size", 0) > 1,
        window_size=plan.window_size if plan else None,
        micro_batch_size=plan.micro_batch_size if plan else None,
        num_workers=plan.num_workers if plan else 0,
        seed=seed,
        announce=screen.show,
    )


def build_learner(
    cfg: DictConfig,
    pretrained: str,
    datamodule: HumorDataModule | None,
    *,
    class_names: tuple[str, ...],
    plan: Plan | None,
    attention: str = "sdpa",
) -> Learner:
    """Build model, objective, optimizer and metrics; initial weights depend on the seed alone.

    Without a plan the weights stay random and the class weights 1, for a checkpoint that follows, and ``attention``
    names the backend.
    """
    num_classes = len(class_names)
    pl.seed_everything(derive_seed(cfg.seed, "init") % 2**32, verbose=False)
    network = instantiate(
        cfg.model.network,
        pretrained=pretrained,
        num_classes=num_classes,
        attention=plan.attention if plan else attention,
        with_weights=plan is not None,
    )
    objective = instantiate(cfg.objective, num_classes=num_classes, _convert_="all")
    if plan is not None and datamodule is not None:
        objective.prepare(datamodule.class_counts)
        if hasattr(network, "prepare"):
            network.prepare(datamodule.used_tokens)
    slice_values = datamodule.slice_values if datamodule else {}
    learner = Learner(
        network,
        objective,
        {stage: ClassificationMetrics(class_names, slice_values) for stage in ("val", "test")},
        optimizer=instantiate(cfg.optim, _convert_="all"),
        window_size=plan.window_size if plan else 1,
        schedule_epochs=cfg.trainer.schedule_epochs,
        max_tokens=plan.max_tokens if plan else None,
    )
    if plan is not None and plan.compile:
        network.compile_encoder(whole=plan.compile == FULL)
    node, local = (int(os.environ.get(name, "0")) for name in ("NODE_RANK", "LOCAL_RANK"))
    rank = os.environ.get("RANK") or str(node * (plan.devices if plan else 1) + local)  # each draws its own dropout
    pl.seed_everything(derive_seed(cfg.seed, "training", rank) % 2**32, verbose=False)
    return learner


def build_trainer(cfg: DictConfig, plan: Plan, run_dir: Path) -> pl.Trainer:
    """Build callbacks, loggers and the Trainer, which write to the run folder; ``null`` switches one off."""
    cfg.paths.run_dir, cfg.run_id = str(run_dir), run_dir.name
    build = functools.partial(instantiate, _convert_="all")
    callbacks = {name: build(node) for name, node in cfg.callbacks.items() if node is not None}
    loggers = open_loggers(cfg.logger, build)
    if not loggers:  # this one refuses to work without
        callbacks = {name: one for name, one in callbacks.items() if not isinstance(one, LearningRateMonitor)}
    trainer = pl.Trainer(
        **plan.trainer_arguments(),
        max_epochs=cfg.trainer.max_epochs,
        gradient_clip_val=cfg.trainer.gradient_clip_val,
        log_every_n_steps=cfg.trainer.log_every_n_steps,
        deterministic=cfg.trainer.deterministic,
        callbacks=list(callbacks.values()),
        plugins=[SafeCheckpointIO()],
        logger=list(loggers.values()),
        default_root_dir=str(run_dir),
        enable_model_summary=False,
        num_sanity_val_steps=0,  # the data was checked already, and metrics should not see it twice
    )
    # signals.heard() answers. Two processes that answered as Lightning does would send SIGTERM to one another for ever.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def save_backbone(run_dir: Path, learner: Learner, datamodule: HumorDataModule) -> None:
    """Keep configuration and tokenizer of the encoder, so that the run loads without the hub."""
    config = learner.model.config
    config.id2label = dict(enumerate(datamodule.class_names))  # type: ignore[union-attr]
    config.label2id = {name: index for index, name in enumerate(datamodule.class_names)}  # type: ignore[union-attr]
    config.save_pretrained(run_dir / record.BACKBONE)  # type: ignore[union-attr,operator]
    datamodule.tokenizer.save_pretrained(run_dir / record.BACKBONE)


def load_run(folder: str, checkpoint: str | None = None, data: DictConfig | None = None) -> TrainedRun:
    """Load a finished run; needs neither Hydra's command line nor the hub.

    Args:
        folder: The run folder.
        checkpoint: Checkpoint file; None takes the best of the run.
        data: A ``data`` node to score; None takes the run's own data.

    Raises:
        UserError: There is no such run or checkpoint, or the checkpoint is another model's.
    """
    path, cfg = open_run_dir(folder)
    if data is not None:
        cfg.data = data
    validate(cfg)
    backbone = str(path / record.BACKBONE)
    _check_max_length(cfg.data.max_length, backbone)
    datamodule = build_datamodule(cfg.data, backbone, cfg.seed, plan=None)
    datamodule.load()
    _check_classes(datamodule, class_names_of(path))
    learner, precision = load_learner(path, cfg, checkpoint, datamodule)
    return TrainedRun(learner, datamodule, precision, path)


def class_names_of(path: Path) -> tuple[str, ...]:
    """Class names of a run, in class order."""
    return tuple(name for _, name in sorted((load_config(str(path / record.BACKBONE)).id2label or {}).items()))


def load_learner(
    path: Path, cfg: DictConfig, checkpoint: str | None = None, datamodule: HumorDataModule | None = None
) -> tuple[Learner, str]:
    """Load the weights of a run, and the precision it was trained in; without data it can score, but measures nothing.

    Args:
        path: The run folder.
        cfg: The run's configuration.
        checkpoint: Checkpoint file; None takes the best of the run.
        datamodule: Tells the slices that metrics are counted by.
    """
    validate(cfg)
    plan = record.read_json(path / record.ENVIRONMENT)["plan"]
    attention = plan["attention"] if plan["attention"] in ANYWHERE else "sdpa"
    names = class_names_of(path)
    learner = build_learner(
        cfg, str(path / record.BACKBONE), datamodule, class_names=names, plan=None, attention=attention
    )
    load_weights(learner, Path(checkpoint) if checkpoint else path / record.CHECKPOINTS / record.BEST)
    return learner.eval(), plan["precision"]


def _check_classes(datamodule: HumorDataModule, class_names: tuple[str, ...]) -> None:
    if datamodule.class_names != class_names:
        raise UserError(
            "data.label_names",
            found=f"classes {list(datamodule.class_names)}",
            expected=f"{list(class_names)}, those of the model",
            fix=f"set 'data.label_names=[{','.join(class_names)}]'",
        )
