"""Reads the state of a run from its folder while it runs, or after. Standard library only."""

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

STARTING, STALE, CRASHED = "starting", "stale", "crashed"  # further states, which the run itself does not write
_STALE_SECONDS = 60.0  # heartbeats come every few seconds, except during long validations and saves


@dataclass(frozen=True)
class Watched:
    """The state of a run at one moment.

    Attributes:
        folder: The run folder.
        state: ``starting``, ``running``, ``stale`` (no heartbeat for a minute), ``crashed`` (no process),
            ``done``, ``interrupted`` or ``failed``.
        silent_seconds: Time since the last heartbeat.
        status: Content of ``status.json``.
        series: Values of each epoch by column of ``metrics.csv``.
        checkpoints: Size in bytes by file name.
        log: Last lines of ``log.txt``.
        tasks: The tasks of the run, with the score that is monitored.
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
        """The monitored score after each epoch."""
        return self.series.get(self.tasks.monitor, [])

    @property
    def is_alive(self) -> bool:
        """Whether the run's process exists and can be asked to stop; it must have written a heartbeat."""
        return self.state in (record.RUNNING, STALE) and bool(self.status)


def find_runs(logs_dir: Path) -> list[Path]:
    """Return the run folders in a folder, the one with the latest heartbeat first."""
    folders = [
        path.parent for path in logs_dir.glob(f"*/{record.CONFIG}") if (path.parent / record.ENVIRONMENT).is_file()
    ]
    return sorted(folders, key=_last_heartbeat, reverse=True)


def find_run(name: str, logs_dir: Path) -> Path | None:
    """Find a run by its folder, or by its id if it is in ``logs_dir``."""
    return next((path for path in (Path(name), logs_dir / name) if (path / record.CONFIG).is_file()), None)


def find_set(name: str, logs_dir: Path) -> Path | None:
    """Find a set of runs by its folder, or by its name if it is in ``logs_dir``."""
    return next((path for path in (Path(name), logs_dir / name) if (path / record.QUEUE).is_file()), None)


def active_sets(logs_dir: Path) -> list[Path]:
    """Return the sets of runs in a folder whose queue is alive and has jobs left."""
    folders = []
    for path in sorted(logs_dir.glob(f"*/{record.QUEUE}")):
        queue = record.read_json(path)
        is_alive = queue["host"] != socket.gethostname() or _is_process(int(queue["pid"]))
        if is_alive and any(job["state"] in (record.WAITING, record.RUNNING) for job in queue["jobs"]):
            folders.append(path.parent)
    return folders


def look(folder: Path, num_log_lines: int = 0) -> Watched:
    """Read the state of a run; a missing or incomplete file is treated as not written yet."""
    status = _status(folder)
    silent = time.time() - _last_heartbeat(folder)
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
    """Whether a run has finished with results; the folder of an evaluation has only these."""
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
    except PermissionError:  # a process of another user
        return True
    return True


def _status(folder: Path) -> dict[str, Any]:
    try:
        return record.read_json(folder / record.STATUS)
    except (OSError, ValueError):
        return {}


def _last_heartbeat(folder: Path) -> float:
    """Return the time of the last heartbeat, which copies of a folder keep; before it, that of config.yaml."""
    if "heartbeat" in (status := _status(folder)):
        return float(status["heartbeat"])
    config = folder / record.CONFIG
    return config.stat().st_mtime if config.is_file() else 0.0


def _series(folder: Path) -> dict[str, list[float]]:
    """Return the columns of rows at the end of an epoch; without the scores after training."""
    columns: dict[str, list[float]] = {}
    for row in record.read_metrics(folder):
        if row.get("train/loss"):
            for name, value in row.items():
                if value and "/" in name:
                    columns.setdefault(name, []).append(float(value))
    return columns


def _tail(path: Path, num_lines: int) -> list[str]:
    if not path.is_file():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 200 * num_lines))
        return file.read().decode("utf-8", "replace").splitlines()[-num_lines:]
