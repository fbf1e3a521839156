"""What pages show of a kind of task: a folder here, called like the task's file in ``tasks``.

``<kind>/sections.py`` has ``lead(run) -> str``, ``results(run) -> list[Grid]``, ``sections(run) -> list[Section]`` and
``finish(run)``, which may write into the run folder; ``<kind>/comparison.py`` has what two runs are compared by. A kind
without such files gets a page of its numbers alone.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType


def find_module(kind: str, name: str) -> ModuleType | None:
    """A module of a kind of task; None where there is none."""
    if not (Path(__file__).parent / kind / f"{name}.py").is_file():
        return None
    return importlib.import_module(f"lit_humor.reporting.{kind}.{name}")
