"""Finds the modules that make the page of a kind of task: a folder in ``tasks/reports`` with the name of the task.

``<kind>/sections.py`` has ``lead(run) -> str``, ``results(run) -> list[Grid]``, ``sections(run) -> list[Section]`` and
``calibrate(run)``, numbers that are saved for later predictions; ``<kind>/comparison.py`` compares two runs, and
``<kind>/answers.py`` has ``beside(run, path, quoting)``, which puts somebody's answers beside a run. The page of a kind
without these files shows only its metrics.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from lit_humor.tasks import reports


def find_module(kind: str, name: str) -> ModuleType | None:
    """Return a module of a kind of task; None if it does not exist."""
    if not (Path(str(reports.__file__)).parent / kind / f"{name}.py").is_file():
        return None
    return importlib.import_module(f"{reports.__name__}.{kind}.{name}")
