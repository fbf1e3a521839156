"""The files of a run folder: names, atomic writing, reading. Standard library only."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lit_humor.core import settings
from lit_humor.core.errors import NonFiniteStepError
from lit_humor.tasks.classification import PROBABILITY as PROBABILITY
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

_UNFINISHED = ".unfinished"

RUNNING, DONE, INTERRUPTED, FAILED = "running", "done", "interrupted", "failed"
WAITING, SKIPPED = "waiting", "skipped"  # what a job of a queue may be beside these


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A file beside ``path`` to write to; it takes its place when the block ends, and is gone if that fails."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{_UNFINISHED}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def clear_unfinished(folder: str | Path) -> None:
    """Remove what a killed process had begun to write; only where no other process writes."""
    for path in Path(folder).rglob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def command_line(environment: Mapping[str, Any]) -> str:
    """What was typed, as it can be typed again in the project's folder."""
    name, *arguments = environment["command"]
    return settings.command_line(Path(name).stem, *arguments)


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON that appears whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read JSON."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


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
