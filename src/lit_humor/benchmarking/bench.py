"""Finds and runs the suite of bench.py: function ``run(cfg)`` of ``suites/<name>.py``."""

from __future__ import annotations

import importlib
from pathlib import Path

from omegaconf import DictConfig

from lit_humor.benchmarking import suites
from lit_humor.config.validate import unknown_value
from lit_humor.core.errors import UserError


def suite_names() -> list[str]:
    """Return the names of all suites, which are the files of ``suites/``."""
    return sorted(path.stem for path in Path(suites.__path__[0]).glob("*.py") if path.stem != "__init__")


def run_suite(cfg: DictConfig) -> None:
    """Import and run the suite ``cfg.suite``.

    Raises:
        UserError: There is no such suite, or a number is out of range.
    """
    if cfg.suite not in suite_names():
        raise unknown_value("suite", cfg.suite, suite_names())
    for key in ("repeats", "steps"):
        if cfg[key] < 1:
            raise UserError(key, found=str(cfg[key]), expected="at least 1", fix=f"set {key}=5")
    importlib.import_module(f"{suites.__name__}.{cfg.suite}").run(cfg)
