"""The files of a run folder: names and reading; they appear whole (``core.files``). Standard library only."""

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
TASKS = "tasks.json"  # what the run learns to answer, and which number of it is followed
QUEUE = "queue.json"  # in the folder of a set of runs: how each of them stands
STATES = "states.json"  # there, too: how the jobs of a queue on another machine ended
STOP_REQUEST = "stop-request"  # a file that asks the run to save and leave
BEST, LAST = "best.ckpt", "last.ckpt"
FINITE = NonFiniteStepError.CHECKPOINT  # weights before a step whose gradient was not finite

RUNNING, DONE, INTERRUPTED, FAILED = "running", "done", "interrupted", "failed"
WAITING, SKIPPED = "waiting", "skipped"  # what a job of a queue may be beside these


def command_line(environment: Mapping[str, Any]) -> str:
    """What was typed, as it can be typed again in the project's folder."""
    name, *arguments = environment["command"]
    return settings.command_line(Path(name).stem, *arguments)


def read_metrics(folder: str | Path) -> list[dict[str, str]]:
    """Rows of ``metrics.csv``; none before there is one. A line that is not whole yet is left out."""
    try:
        text = (Path(folder) / METRICS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))


def predictions_path(folder: str | Path, split: str) -> Path:
    """Where a run keeps what its model said of a split."""
    return Path(folder) / PREDICTIONS / f"{split}.parquet"


def ask_to_stop(folder: str | Path) -> None:
    """Leave the request at which a run saves and leaves."""
    write_text(Path(folder) / STOP_REQUEST, "")


def read_calibration(folder: str | Path) -> dict[str, float]:
    """What ``report.py`` fitted on validation: ``temperature``, and ``threshold`` of two classes; empty before that."""
    path = Path(folder) / CALIBRATION
    return read_json(path) if path.is_file() else {}


def read_tasks(folder: str | Path) -> RecordedTasks:
    """What a run learns to answer; of an older run, what all runs did then."""
    try:
        return recorded_tasks(read_json(Path(folder) / TASKS))
    except FileNotFoundError:
        return recorded_tasks(None)
