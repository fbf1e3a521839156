"""What pages show of a kind of task: a folder of ``tasks/reports``, called like the task's file in ``tasks``.

``<kind>/sections.py`` has ``lead(run) -> str``, ``results(run) -> list[Grid]``, ``sections(run) -> list[Section]`` and
``calibrate(run)``, what to keep beside the run for later predictions; ``<kind>/comparison.py`` has what two runs are
compared by. A kind without such files gets a page of its numbers alone.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from lit_humor.tasks import reports


def find_module(kind: str, name: str) -> ModuleType | None:
    """A module of a kind of task; None where there is none."""
    if not (Path(str(reports.__file__)).parent / kind / f"{name}.py").is_file():
        return None
    return importlib.import_module(f"{reports.__name__}.{kind}.{name}")
