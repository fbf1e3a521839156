"""Where the runs of a plan go."""

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

# What Python adds, beside folder and notice, where the constructor of a queue has such a parameter.
SUPPLIED: Mapping[str, Callable[[DictConfig], Any]] = {
    "root": lambda cfg: ROOT_DIR,  # the checkout
    "logs_dir": lambda cfg: Path(cfg.paths.logs_dir),
    "num_slots": lambda cfg: cfg.slots,  # runs at a time
    "slots": lambda cfg: split_machine(cfg.slots, gpu_numbers()),  # places on this machine
}


def queue_class(cfg: DictConfig) -> type[Queue]:
    """The class that ``launch`` names.

    Raises:
        UserError: It names none, or one that is no queue.
    """
    target = cfg.launch.get("_target_") if isinstance(cfg.launch, DictConfig) else None
    if target is None:
        fix = "set launch=local, or add _target_: lit_humor.launch.<file>.<class> to configs/launch/<name>.yaml"
        raise UserError("launch", found="no _target_", expected="the class of a queue", fix=fix)
    named = find_target("launch", str(target))
    if not (inspect.isclass(named) and issubclass(named, Queue)):
        expected = "a subclass of lit_humor.launch.queue.Queue"
        raise UserError("launch._target_", found=str(target), expected=expected, fix="leave launch._target_ away")
    return named


def open_queue(cfg: DictConfig, folder: Path, notice: Callable[[Job], None]) -> Queue:
    """Build the queue that ``launch`` names.

    Args:
        cfg: Of ``sweep.py``.
        folder: For what the queue writes.
        notice: Called with a job whenever its state changes.

    Raises:
        UserError: There is no such place, a setting is wrong, or it cannot be used from here.
    """
    build = queue_class(cfg)
    supplied = {name: value(cfg) for name, value in SUPPLIED.items() if name in inspect.signature(build).parameters}
    supplied |= {"folder": folder, "notice": notice}
    settings: Any = OmegaConf.to_container(cfg.launch, resolve=True)
    check_config(OmegaConf.create({"launch": settings}), {"launch": supplied}, {})
    del settings["_target_"]
    return build(**settings, **supplied)
