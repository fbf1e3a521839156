"""Builds and runs commands of trainings, as a user would type them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from lit_humor.config.command import choice, typed_overrides
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR


def model_overrides() -> list[str]:
    """Return the model of a benchmark, with its typed settings, as overrides of ``train.py``; for one device."""
    return [
        f"model={choice('model')}",
        "trainer.devices=1",
        *(override for override in typed_overrides() if override.startswith("model.")),
    ]


def data_overrides(cfg: DictConfig) -> list[str]:
    """Return the data of a benchmark as overrides of ``train.py``; without a path the English demo corpus."""
    if not cfg.train_path:
        rows = [f"data.rows_per_split={cfg.rows}"] if cfg.rows else []
        return ["data=demo", "data.languages=[en]", *rows]
    val = [f"data.val_path={cfg.val_path}"] if cfg.val_path else []
    return ["data=csv", f"data.train_path={cfg.train_path}", *val, "data.test_fraction=0"]


def train_command(run_id: str, overrides: Sequence[str]) -> list[str]:
    """Return the command of a training."""
    return [sys.executable, str(ROOT_DIR / "src" / "lit_humor" / "train.py"), f"run_id={run_id}", *overrides]


def train(run_id: str, overrides: Sequence[str]) -> None:
    """Run ``train.py`` in a new process.

    Raises:
        UserError: The training failed.
    """
    run_apart(train_command(run_id, overrides), run_id)


def run_apart(command: Sequence[str], name: str) -> str:
    """Run a command in a new process; return its output.

    Raises:
        UserError: The command failed.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        fix = f"run it alone and correct what it reports: {shlex.join(command)}"
        raise UserError(name, found=done.stderr[-2000:], expected="a training that ends well", fix=fix)
    return done.stdout
