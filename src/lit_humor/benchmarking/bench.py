"""Finds and runs the suite of bench.py: function ``run(cfg)`` of ``suites/<name>.py``."""

from __future__ import annotations

import importlib
from pathlib import Path

from omegaconf import DictConfig

from lit_humor.benchmarking import suites
from lit_humor.benchmarking.guide import choices_with_guide, family_of
from lit_humor.config.command import choice
from lit_humor.config.validate import unknown_value
from lit_humor.core.errors import UserError

FAMILIES = "families"


def suite_names() -> list[str]:
    """Return the names of all suites, which are the files of ``suites/``."""
    return sorted(path.stem for path in Path(suites.__path__[0]).glob("*.py") if path.stem != "__init__")


def run_suite(cfg: DictConfig) -> None:
    """Import and run the suite ``cfg.suite``.

    Raises:
        UserError: There is no such suite, a number is out of range, or the suite measures other families.
    """
    if cfg.suite not in suite_names():
        raise unknown_value("suite", cfg.suite, suite_names())
    for key in ("repeats", "steps"):
        if cfg[key] < 1:
            raise UserError(key, found=str(cfg[key]), expected="at least 1", fix=f"set {key}=5")
    if cfg.suite != FAMILIES:
        _check_family(cfg)
    importlib.import_module(f"{suites.__name__}.{cfg.suite}").run(cfg)


def _check_family(cfg: DictConfig) -> None:
    """Check that a suite for classifiers is asked for one.

    Raises:
        UserError: It is asked for an experiment, or a model of another family.
    """
    model = choice("model") or ""
    if cfg.experiment or family_of(model):
        where, found = ("experiment", cfg.experiment) if cfg.experiment else ("model", model)
        family = family_of(found)
        fix = f"set suite={FAMILIES}" if family else "leave experiment out"
        if family and not cfg.experiment:
            fix += f" experiment={choices_with_guide('experiment', [family])[0]}"
        expected = f"none: suite={cfg.suite} measures a classifier with the recipe of train.py"
        raise UserError(where, found=found, expected=expected, fix=fix)
