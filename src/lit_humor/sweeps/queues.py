"""Builds the queue that ``launch`` names, which starts the runs of a plan."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.validate import check_config, find_target
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.launch.queue import Job, Queue, split_machine
from lit_humor.runs.resources import gpu_numbers

# Arguments that are passed, besides folder and notice, to a queue whose constructor has such a parameter.
SUPPLIED: Mapping[str, Callable[[DictConfig], Any]] = {
    "root": lambda cfg: ROOT_DIR,  # the checkout
    "logs_dir": lambda cfg: Path(cfg.paths.logs_dir),
    "num_slots": lambda cfg: cfg.slots,  # runs at a time
    "slots": lambda cfg: split_machine(cfg.slots, gpu_numbers()),  # places on this machine
}


def queue_class(cfg: DictConfig) -> type[Queue]:
    """Return the class of the queue that ``launch`` names.

    Raises:
        UserError: ``launch`` names no class, or one that is not a queue.
    """
    target = cfg.launch.get("_target_") if isinstance(cfg.launch, DictConfig) else None
    if target is None:
        fix = "set launch=local, or add _target_: lit_humor.launch.<file>.<class> to configs/launch/<name>.yaml"
        raise UserError("launch", found="no _target_", expected="the class of a queue", fix=fix)
    target_class = find_target("launch", str(target))
    if not (inspect.isclass(target_class) and issubclass(target_class, Queue)):
        expected = "a subclass of lit_humor.launch.queue.Queue"
        raise UserError("launch._target_", found=str(target), expected=expected, fix="leave launch._target_ out")
    return target_class


def open_queue(cfg: DictConfig, folder: Path, notice: Callable[[Job], None]) -> Queue:
    """Build the queue that ``launch`` names.

    Args:
        cfg: Configuration of ``sweep.py``.
        folder: Folder for the files of the queue.
        notice: Called with a job whenever its state changes.

    Raises:
        UserError: There is no such queue, a setting is wrong, or it cannot be used on this machine.
    """
    build = queue_class(cfg)
    supplied = {name: value(cfg) for name, value in SUPPLIED.items() if name in inspect.signature(build).parameters}
    supplied |= {"folder": folder, "notice": notice}
    settings: Any = OmegaConf.to_container(cfg.launch, resolve=True)
    check_config(OmegaConf.create({"launch": settings}), {"launch": supplied}, {})
    del settings["_target_"]
    return build(**settings, **supplied)
