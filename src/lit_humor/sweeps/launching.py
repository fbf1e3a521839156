"""Where the runs of a plan go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.command import typed_overrides
from lit_humor.core.durations import parse_duration
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.core.remedies import nearest
from lit_humor.launch.cloud import CloudQueue
from lit_humor.launch.queue import Job, LocalQueue, Queue, split_machine
from lit_humor.launch.ssh import SshQueue
from lit_humor.runs.resources import gpu_numbers

LOCAL, SLURM, SSH, CLOUD = "local", "slurm", "ssh", "cloud"


def open_queue(cfg: DictConfig, folder: Path, notice: Callable[[Job], None]) -> Queue:
    """The queue that ``launch`` names.

    Args:
        cfg: Of ``sweep.py``.
        folder: For what the queue writes.
        notice: Called with a job whenever its state changes.

    Raises:
        UserError: There is no such place, or it cannot be used from here.
    """
    settings: Any = OmegaConf.to_container(cfg.launch)
    kind, kinds = settings.pop("kind"), (LOCAL, SLURM, SSH, CLOUD)
    if kind not in kinds or any(one.startswith("launch.kind=") for one in typed_overrides()):  # without its settings
        fix = f"leave launch.kind away and set launch={nearest(str(kind), kinds) or LOCAL}"
        raise UserError("launch.kind", found=str(kind), expected="launch=<file of configs/launch>", fix=fix)
    if kind == LOCAL:
        return LocalQueue(split_machine(cfg.slots, gpu_numbers()), folder, notice)
    if kind == SLURM:
        from lit_humor.launch.slurm import SlurmQueue  # with an extra

        seconds = parse_duration(limit := str(settings.pop("time")))
        if seconds is None:
            raise UserError("launch.time", found=limit, expected="a time such as 90min or 6h", fix="set launch.time=6h")
        return SlurmQueue(folder, notice, seconds=seconds, **settings)
    if kind == SSH:
        logs_dir = Path(cfg.paths.logs_dir)
        return SshQueue(folder, notice, root=ROOT_DIR, logs_dir=logs_dir, slots=cfg.slots, **settings)
    return CloudQueue(folder, notice, root=ROOT_DIR, logs_dir=Path(cfg.paths.logs_dir), **settings)
