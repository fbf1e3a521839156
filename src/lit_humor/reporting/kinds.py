"""Finds the modules that make the page of a kind of task: a folder in ``tasks/reports`` with the name of the task.

``<kind>/sections.py`` has ``lead(run) -> str``, ``results(run) -> list[Grid]``, ``sections(run) -> list[Section]`` and
``calibrate(run)``, numbers that are saved for later predictions; ``<kind>/comparison.py`` compares two runs, and
``<kind>/answers.py`` has ``beside(run, path, quoting)``, which puts somebody's answers beside a run. The page of a kind
without these files shows only its metrics.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from lit_humor.tasks import reports

_FOLDER = Path(str(reports.__file__)).parent


def find_module(kind: str, name: str) -> ModuleType | None:
    """Return a module of a kind of task; None if it does not exist."""
    if not (_FOLDER / kind / f"{name}.py").is_file():
        return None
    return importlib.import_module(f"{reports.__name__}.{kind}.{name}")


def find_modules(kinds: Iterable[str], name: str) -> dict[str, ModuleType]:
    """Return a module of each kind of task that has it, by kind."""
    return {kind: module for kind in kinds if (module := find_module(kind, name)) is not None}


def kinds_with(name: str) -> list[str]:
    """Return the kinds of tasks that have such a module, in alphabetical order."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{name}.py"))
