"""A training that collapsed to one class is taken from its start, once, at half the rate."""

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
    """The settings to go on with: those at half the rate where such a run took the place of a collapsed one."""
    if cfg.resume == AUTO and cfg.run_id and cfg.recover:
        instead = at_half_rate(cfg)
        if (Path(cfg.paths.logs_dir) / instead["run_id"]).is_dir():
            return changed(cfg, instead)
    return cfg


def at_half_rate(cfg: DictConfig) -> dict[str, Any]:
    """Settings of the run that takes the place of a collapsed one."""
    rate = cfg.optim.learning_rate / 2
    return {"run_id": f"{cfg.run_id}{_SUFFIX}", "recover": False, "optim.learning_rate": rate}


def train_anew(run: Run, collapse: CollapsedError, environment: dict[str, str]) -> NoReturn:
    """Put a new training in the place of this process: nothing of the collapsed one stays in memory.

    Args:
        run: The run that collapsed.
        collapse: Why.
        environment: Variables of the new process.

    Raises:
        UserError: The run was resumed: what was typed says nothing of its settings.
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
