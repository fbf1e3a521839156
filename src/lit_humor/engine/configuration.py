"""Makes of the composed configuration the one that a run is built from: checked, with absolute paths, read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.frozen import changed, frozen
from lit_humor.config.overrides import with_plain_dollar
from lit_humor.config.schema.train import TrainerConfig
from lit_humor.config.validate import check_config, find_target
from lit_humor.core.bounds import out_of_bounds
from lit_humor.core.errors import UserError, UserErrors
from lit_humor.data.settings import DataSettings
from lit_humor.engine import lr_scale
from lit_humor.models.network import Network
from lit_humor.tasks.classification import Classification
from lit_humor.tasks.monitors import unknown_monitors
from lit_humor.tasks.task import NETWORK_ARGUMENTS, OBJECTIVE_ARGUMENTS, TASK_ARGUMENTS, Task

# Arguments that the code adds when it builds a node; the configuration must not set them.
SUPPLIED = {
    "model.network": ("pretrained", *NETWORK_ARGUMENTS, "attention", "with_weights"),
    "model.preparation": ("pretrained", "settings"),
    "objective": OBJECTIVE_ARGUMENTS,
}
_FLAT = {"data": DataSettings}
_BOUNDED = {"trainer": TrainerConfig, "data": DataSettings}
_PATHS = (
    *("data.train_path", "data.val_path", "data.test_path", "data.name", "data.difficulty_path", "data.picture_root"),
    *("model.pretrained", "init_from"),
)


def settled(cfg: DictConfig) -> DictConfig:
    """Return the configuration that a run is built from, read-only.

    Raises:
        UserError: A key, type or value is wrong; all of them at once.
    """
    validate(cfg)
    return frozen(pinned(cfg))


def validate(cfg: DictConfig) -> None:
    """Check the configuration against the signatures of its classes, before anything is built.

    Raises:
        UserError: A key, type or value is wrong; all of them at once.
    """
    supplied = SUPPLIED | {f"tasks.{name}": TASK_ARGUMENTS for name in OmegaConf.select(cfg, "tasks") or ()}
    parts = OmegaConf.select(cfg, "objective.parts") or ()
    supplied |= {f"objective.parts.{name}": OBJECTIVE_ARGUMENTS for name in parts}
    check_config(lr_scale.with_number(cfg), supplied, _FLAT)
    problems = [*_not_nodes(cfg)] or [*_out_of_bounds(cfg), *_unknown_monitors(cfg)]
    if problems:
        raise problems[0] if len(problems) == 1 else UserErrors(problems)


def pinned(cfg: DictConfig) -> DictConfig:
    """Return the configuration with absolute paths of data and model, so that the run loads from any folder."""
    paths = {key: OmegaConf.select(cfg, key) for key in _PATHS}
    return changed(
        cfg,
        {
            key: with_plain_dollar(os.path.abspath(path))
            for key, path in paths.items()
            if isinstance(path, str) and Path(path).exists()
        },
    )


def in_folder(cfg: DictConfig, folder: Path) -> DictConfig:
    """Return the configuration with the folder of the run, to which callbacks and loggers write, and its name."""
    return changed(cfg, {"paths.run_dir": str(folder), "run_id": folder.name})


def _not_nodes(cfg: DictConfig) -> Iterator[UserError]:
    for group in ("callbacks", "logger", "regularizers", "tasks"):
        for name, node in (OmegaConf.select(cfg, group) or {}).items():
            if not (node is None or isinstance(node, DictConfig)):
                where, fix = f"{group}.{name}", f"set {group}.{name}=null to switch it off"
                yield UserError(where, found=str(node), expected="its settings, or null", fix=fix)


def _out_of_bounds(cfg: DictConfig) -> Iterator[UserError]:
    for key, kind in _BOUNDED.items():
        node = OmegaConf.select(cfg, key)
        if node is not None:
            values: Any = OmegaConf.to_container(node, resolve=True)
            yield from out_of_bounds(kind, values, f"{key}.")


def _unknown_monitors(cfg: DictConfig) -> Iterator[UserError]:
    nodes = OmegaConf.select(cfg, "tasks")
    tasks = [find_target(f"tasks.{name}", node["_target_"]) for name, node in (nodes or {}).items() if node]
    if nodes is None:  # an older run, whose configuration names no tasks
        tasks = [Classification]
    if not tasks:
        yield UserError(
            "tasks", found="none", expected="at least one", fix="leave tasks away, and set task=classification"
        )
    else:
        yield from unknown_monitors(tasks, *(OmegaConf.select(cfg, key) for key in ("monitor", "mode", "callbacks")))
        yield from _unfit_objective(cfg, tasks)
        yield from _unfit_network(cfg, tasks)


def _unfit_network(cfg: DictConfig, tasks: Sequence[type[Task]]) -> Iterator[UserError]:
    network = find_target("model.network", cfg.model.network["_target_"])
    if not (isinstance(network, type) and issubclass(network, Network)):
        expected, fix = "a subclass of Network (models/network.py)", f"write class {network.__name__}(Network)"
        yield UserError("model.network", found=network.__name__, expected=expected, fix=fix)
        return
    fit = [task for task in tasks if set(task.reads) <= set(network.gives)]
    for task in [task for task in tasks if task not in fit][:1]:
        found = f"{network.__name__}, which gives {', '.join(network.gives)}"
        expected = f"one that gives {', '.join(task.reads)}, for {task.kind}"
        fix = f"set task={fit[0].kind}" if fit else f"set family={task.family}, and leave model away"
        yield UserError("model.network", found=found, expected=expected, fix=fix)


def _unfit_objective(cfg: DictConfig, tasks: Sequence[type[Task]]) -> Iterator[UserError]:
    given = _outputs_of("objective", OmegaConf.select(cfg, "objective"))
    fit = [task for task in tasks if not given or set(task.outputs) <= set(given)]
    for task in (task for task in tasks if task not in fit):
        found, expected = f"a loss that gives {', '.join(given)}", f"{', '.join(task.outputs)}, for {task.kind}"
        fix = f"set objective={task.objective}"
        if len(tasks) > 1:  # the loss of one task is not that of all
            fix = f"set task={fit[0].kind}" if fit else "leave objective away"
        yield UserError("objective", found=found, expected=expected, fix=fix)


def _outputs_of(key: str, node: DictConfig | None) -> tuple[str, ...]:
    """Return the outputs of an objective and of its parts; none if they are not known."""
    if not node:
        return ()
    parts = {name: part for name, part in (node.get("parts") or {}).items() if part}
    own = tuple(getattr(find_target(key, node["_target_"]), "outputs", ()))
    return own + tuple(name for part in parts for name in _outputs_of(f"{key}.parts.{part}", parts[part]))
