"""Starts a training that collapsed to one class again, once, at half the learning rate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig

from lit_humor.config.frozen import changed
from lit_humor.core.errors import CollapsedError, UserError
from lit_humor.core.place import is_main_process
from lit_humor.engine.resume import AUTO
from lit_humor.engine.run import Run
from lit_humor.runs import screen

_SUFFIX = "-half-rate"
_HALF = "train anew with half the optim.learning_rate"


def after_collapse(cfg: DictConfig) -> DictConfig:
    """Return the configuration to resume: that of the run at half the rate, if the run was replaced by it."""
    if cfg.resume == AUTO and cfg.run_id and cfg.recover:
        instead = at_half_rate(cfg)
        if (Path(cfg.paths.logs_dir) / instead["run_id"]).is_dir():
            return changed(cfg, instead)
    return cfg


def at_half_rate(cfg: DictConfig) -> dict[str, Any]:
    """Return the settings that the run in the place of a collapsed one has instead."""
    rate = cfg.optim.learning_rate / 2
    return {"run_id": f"{cfg.run_id}{_SUFFIX}", "recover": False, "optim.learning_rate": rate}


def train_anew(run: Run, collapse: CollapsedError, environment: dict[str, str]) -> NoReturn:
    """Replace this process by a new training, so that nothing of the collapsed one stays in memory.

    Args:
        run: The run that collapsed.
        collapse: The error that describes the collapse.
        environment: Environment variables of the new process.

    Raises:
        UserError: The run was resumed: its command line does not contain its settings, so it cannot be repeated.
    """
    if run.resumed_from:
        raise UserError("recover", found=str(collapse), expected="more", fix=_HALF) from None
    if not is_main_process():
        sys.exit(0)
    instead = at_half_rate(run.config)
    screen.show(f"\nCollapsed: {collapse}. Once more from the start at half the rate, as {instead['run_id']}.")
    sys.stdout.flush()
    typed = [*sys.orig_argv[1:], *(f"{key}={value}" for key, value in instead.items())]
    os.execve(sys.executable, [sys.executable, *typed], environment)
