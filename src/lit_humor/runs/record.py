"""Names of the files in a run folder, and functions to read them. Standard library only.

Files are written with ``core.files``, so that they are complete or not there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_humor.core import settings
from lit_humor.core.errors import NonFiniteStepError
from lit_humor.core.files import clear_unfinished as clear_unfinished
from lit_humor.core.files import read_json as read_json
from lit_humor.core.files import replacing as replacing
from lit_humor.core.files import write_json as write_json
from lit_humor.core.files import write_text as write_text
from lit_humor.tasks.recorded import RecordedTasks, recorded_tasks

CONFIG, ENVIRONMENT, STATUS = "config.yaml", "environment.json", "status.json"
RESULT, DATA_REPORT, METRICS = "result.json", "data_report.json", "metrics.csv"
CHECKPOINTS, PREDICTIONS, CONFUSION, BACKBONE = "checkpoints", "predictions", "confusion", "backbone"
CALIBRATION = "calibration.json"
LABELS = "labels.json"  # names of the classes, in class order
TASKS = "tasks.json"  # the tasks of the run, and the score that is monitored
QUEUE = "queue.json"  # in the folder of a set of runs: the state of each run
STATES = "states.json"  # in the same folder: final states of the jobs of a queue on another machine
STOP_REQUEST = "stop-request"  # a file that asks the run to save and exit
BEST, LAST = "best.ckpt", "last.ckpt"
FINITE = NonFiniteStepError.CHECKPOINT  # weights before a step whose gradient was not finite

RUNNING, DONE, INTERRUPTED, FAILED = "running", "done", "interrupted", "failed"
WAITING, SKIPPED = "waiting", "skipped"  # further states of a job of a queue


def command_line(environment: Mapping[str, Any]) -> str:
    """Return the command of a run, so that it can be typed again in the folder of the project."""
    name, *arguments = environment["command"]
    return settings.command_line(Path(name).stem, *arguments)


def read_metrics(folder: str | Path) -> list[dict[str, str]]:
    """Return the rows of ``metrics.csv``, without an incomplete last line; an empty list if there is no such file."""
    try:
        text = (Path(folder) / METRICS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))


def predictions_path(folder: str | Path, split: str) -> Path:
    """Return the path of a run's predictions of a split."""
    return Path(folder) / PREDICTIONS / f"{split}.parquet"


def vectors_path(folder: str | Path, split: str, name: str) -> Path:
    """Return the path of a run's vectors of a split, one for each row of its predictions."""
    return Path(folder) / PREDICTIONS / f"{split}.{name}.npy"


def ask_to_stop(folder: str | Path) -> None:
    """Write the file that asks a run to save and exit."""
    write_text(Path(folder) / STOP_REQUEST, "")


def read_calibration(folder: str | Path) -> dict[str, float]:
    """Return what ``report.py`` fitted on validation rows: ``temperature``, ``threshold`` of two classes; or {}."""
    path = Path(folder) / CALIBRATION
    return read_json(path) if path.is_file() else {}


def read_tasks(folder: str | Path) -> RecordedTasks:
    """Return the tasks of a run; for an older run without the file, the only task of that time."""
    try:
        return recorded_tasks(read_json(Path(folder) / TASKS))
    except FileNotFoundError:
        return recorded_tasks(None)
