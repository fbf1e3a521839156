"""What a run folder tells of a run that may be going, done or dead. Standard library only."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_humor.runs import record
from lit_humor.tasks.recorded import BEFORE_TASKS, RecordedTasks

STARTING, STALE, CRASHED = "starting", "stale", "crashed"  # what a folder shows beside the states that a run writes
_STALE_SECONDS = 60.0  # a heartbeat comes every few seconds, but for long validations and saves


@dataclass(frozen=True)
class Watched:
    """A run at one moment.

    Attributes:
        folder: The run folder.
        state: ``starting``, ``running``, ``stale`` (no word for a minute), ``crashed`` (its process is gone),
            ``done``, ``interrupted`` or ``failed``.
        silent_seconds: Time since the last heartbeat.
        status: ``status.json``.
        series: Values of each epoch by column of ``metrics.csv``.
        checkpoints: Size in bytes by file name.
        log: Last lines of ``log.txt``.
        tasks: What it learns, and which number of it is followed.
    """

    folder: Path
    state: str
    silent_seconds: float
    status: Mapping[str, Any] = field(default_factory=dict)
    series: Mapping[str, list[float]] = field(default_factory=dict)
    checkpoints: Mapping[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    tasks: RecordedTasks = BEFORE_TASKS

    @property
    def scores(self) -> list[float]:
        """The number that is followed, after each epoch."""
        return self.series.get(self.tasks.monitor, [])

    @property
    def is_alive(self) -> bool:
        """Whether the run's process is there and may be asked to stop; one that never spoke would not answer."""
        return self.state in (record.RUNNING, STALE) and bool(self.status)


def find_runs(logs_dir: Path) -> list[Path]:
    """Run folders below a folder, the one heard of last first."""
    found = [
        path.parent for path in logs_dir.glob(f"*/{record.CONFIG}") if (path.parent / record.ENVIRONMENT).is_file()
    ]
    return sorted(found, key=_last_word, reverse=True)


def find_run(name: str, logs_dir: Path) -> Path | None:
    """A run by its folder, or by its id alone where it lies in ``logs_dir``."""
    return next((path for path in (Path(name), logs_dir / name) if (path / record.CONFIG).is_file()), None)


def find_set(name: str, logs_dir: Path) -> Path | None:
    """A set of runs by its folder, or by its name alone where it lies in ``logs_dir``."""
    return next((path for path in (Path(name), logs_dir / name) if (path / record.QUEUE).is_file()), None)


def sets_going(logs_dir: Path) -> list[Path]:
    """Sets of runs below a folder whose queue is there and not through."""
    found = []
    for path in sorted(logs_dir.glob(f"*/{record.QUEUE}")):
        told = record.read_json(path)
        is_there = told["host"] != socket.gethostname() or _is_process(int(told["pid"]))
        if is_there and any(job["state"] in (record.WAITING, record.RUNNING) for job in told["jobs"]):
            found.append(path.parent)
    return found


def look(folder: Path, num_log_lines: int = 0) -> Watched:
    """Look at a run; a file that is missing or half written counts as not there yet."""
    status = _status(folder)
    silent = time.time() - _last_word(folder)
    return Watched(
        folder=folder,
        state=_state(status, silent),
        silent_seconds=silent,
        status=status,
        series=_series(folder),
        checkpoints={path.name: path.stat().st_size for path in sorted((folder / record.CHECKPOINTS).glob("*.ckpt"))},
        log=_tail(folder / "log.txt", num_log_lines) if num_log_lines else [],
        tasks=record.read_tasks(folder),
    )


def is_done(folder: Path) -> bool:
    """Whether a run ended well, with its results; an evaluation leaves nothing but these."""
    has_status = (folder / record.STATUS).is_file()
    return (folder / record.RESULT).is_file() and (not has_status or look(folder).state == record.DONE)


def _state(status: Mapping[str, Any], silent: float) -> str:
    if not status:
        return STARTING if silent <= _STALE_SECONDS else STALE
    state = str(status.get("state"))
    if state != record.RUNNING:
        return state
    if status.get("host") == socket.gethostname() and not _is_process(int(status["pid"])):
        return CRASHED
    return STALE if silent > _STALE_SECONDS else record.RUNNING


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # someone else's
        return True
    return True


def _status(folder: Path) -> dict[str, Any]:
    try:
        return record.read_json(folder / record.STATUS)
    except (OSError, ValueError):
        return {}


def _last_word(folder: Path) -> float:
    """The time that a run itself wrote last, which copies keep; before its first word, when its folder was made."""
    if "heartbeat" in (status := _status(folder)):
        return float(status["heartbeat"])
    config = folder / record.CONFIG
    return config.stat().st_mtime if config.is_file() else 0.0


def _series(folder: Path) -> dict[str, list[float]]:
    """Columns of the rows that close an epoch; the scores after training are none of them."""
    found: dict[str, list[float]] = {}
    for row in record.read_metrics(folder):
        if row.get("train/loss"):
            for name, value in row.items():
                if value and "/" in name:
                    found.setdefault(name, []).append(float(value))
    return found


def _tail(path: Path, num_lines: int) -> list[str]:
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 200 * num_lines))
        return file.read().decode("utf-8", "replace").splitlines()[-num_lines:]
