"""Trainings as a user types them, for a benchmark to measure."""

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
    """The model of a benchmark and what was typed about it, as overrides of ``train.py``; on one device."""
    return [
        f"model={choice('model')}",
        "trainer.devices=1",
        *(one for one in typed_overrides() if one.startswith("model.")),
    ]


def data_overrides(cfg: DictConfig) -> list[str]:
    """The data of a benchmark, as overrides of ``train.py``; without a path the embedded corpus, English."""
    if not cfg.train_path:
        rows = [f"data.rows_per_split={cfg.rows}"] if cfg.rows else []
        return ["data=demo", "data.languages=[en]", *rows]
    val = [f"data.val_path={cfg.val_path}"] if cfg.val_path else []
    return ["data=csv", f"data.train_path={cfg.train_path}", *val, "data.test_fraction=0"]


def train_command(run_id: str, overrides: Sequence[str]) -> list[str]:
    """What a user would type."""
    return [sys.executable, str(ROOT_DIR / "src" / "lit_humor" / "train.py"), f"run_id={run_id}", *overrides]


def train(run_id: str, overrides: Sequence[str]) -> None:
    """Run ``train.py`` in a process of its own.

    Raises:
        UserError: The training failed.
    """
    run_apart(train_command(run_id, overrides), run_id)


def run_apart(command: Sequence[str], name: str) -> str:
    """Run a training in a process of its own; return what it printed.

    Raises:
        UserError: It failed.
    """
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        fix = f"run it alone and mend what it says: {shlex.join(command)}"
        raise UserError(name, found=done.stderr[-2000:], expected="a training that ends well", fix=fix)
    return done.stdout
