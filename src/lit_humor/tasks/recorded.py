"""What a run folder says of the tasks of its run, for commands that only read run folders. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lit_humor.tasks.classification import Classification
from lit_humor.tasks.task import Task


@dataclass(frozen=True)
class RecordedTasks:
    """The content of ``tasks.json``.

    Attributes:
        monitor: What the best checkpoint follows and lists of runs show, e.g. ``val/f1``.
        mode: ``max`` where that should be high, ``min`` where it should be low.
        tasks: By name what ``Task.describe`` says.
    """

    monitor: str
    mode: str
    tasks: Mapping[str, Mapping[str, Any]]

    @property
    def score(self) -> str:
        """The monitored number as results call it, without its split."""
        return self.monitor.rpartition("/")[2]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Files of the tasks, which are those of their sections in ``reporting``, too."""
        return tuple(dict.fromkeys(task["kind"] for task in self.tasks.values()))

    @property
    def curves(self) -> tuple[str, ...]:
        """Numbers that are shown epoch by epoch, the monitored one among them."""
        names = dict.fromkeys(f"val/{name}" for task in self.tasks.values() for name in reversed(task["curves"]))
        return tuple(names if self.monitor.endswith("/loss") else {self.monitor: None} | names)

    @property
    def compared(self) -> dict[str, str]:
        """Numbers of a table of many runs, the monitored one first, each with the better direction."""
        names = {name: mode for task in self.tasks.values() for name, mode in task["compared"].items()}
        return {self.score: self.mode} | names

    def score_in(self, results: Mapping[str, Any], split: str) -> float | None:
        """The monitored number of a split in ``result.json``; None where it is measured in training alone."""
        return results.get(split, {}).get(self.score)

    def to_json(self) -> dict[str, Any]:
        """The content of ``tasks.json``."""
        return asdict(self)


def record_tasks(tasks: Mapping[str, Task], monitor: str | None, mode: str | None) -> RecordedTasks:
    """What to write of the tasks of a run."""
    described = {name: task.describe() for name, task in tasks.items()}
    return RecordedTasks(monitor or BEFORE_TASKS.monitor, mode or BEFORE_TASKS.mode, described)


def recorded_tasks(content: Mapping[str, Any] | None) -> RecordedTasks:
    """The tasks of a run by the content of its ``tasks.json``; None stands for a run that is too old to have one."""
    return RecordedTasks(**content) if content else BEFORE_TASKS


# Runs that were made before there were tasks: all of them classified, and followed F1.
BEFORE_TASKS = RecordedTasks("val/f1", "max", {Classification.kind: Classification().describe()})
