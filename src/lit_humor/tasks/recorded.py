"""The tasks of a run as recorded in its folder, for commands that only read run folders. Standard library only."""

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
        monitor: The metric that chooses the best checkpoint and that lists of runs show, e.g. ``val/f1``.
        mode: ``max`` if a high value is better, ``min`` if a low value is.
        tasks: Results of ``Task.describe`` by name.
    """

    monitor: str
    mode: str
    tasks: Mapping[str, Mapping[str, Any]]

    @property
    def score(self) -> str:
        """Name of the monitored metric in the results, without the split."""
        return self.monitor.rpartition("/")[2]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the tasks, which are also the names of their folders in ``tasks/reports``."""
        return tuple(dict.fromkeys(task["kind"] for task in self.tasks.values()))

    @property
    def curves(self) -> tuple[str, ...]:
        """Metrics that are shown for each epoch, with the monitored one."""
        names = dict.fromkeys(f"val/{name}" for task in self.tasks.values() for name in reversed(task["curves"]))
        return tuple(names if self.monitor.endswith("/loss") else {self.monitor: None} | names)

    @property
    def compared(self) -> dict[str, str]:
        """Metrics of a table of runs, the monitored one first, each with ``max`` or ``min``, whichever is better."""
        names = {name: mode for task in self.tasks.values() for name, mode in task["compared"].items()}
        return {self.score: self.mode} | names

    def score_in(self, results: Mapping[str, Any], split: str) -> float | None:
        """Return the monitored metric of a split in ``result.json``; None if it is only measured in training."""
        return results.get(split, {}).get(self.score)

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``tasks.json``."""
        return asdict(self)


def record_tasks(tasks: Mapping[str, Task], monitor: str | None, mode: str | None) -> RecordedTasks:
    """Return the record of a run's tasks, to be written into its folder."""
    described = {name: task.describe() for name, task in tasks.items()}
    return RecordedTasks(monitor or BEFORE_TASKS.monitor, mode or BEFORE_TASKS.mode, described)


def recorded_tasks(content: Mapping[str, Any] | None) -> RecordedTasks:
    """Return the tasks of a run from the content of its ``tasks.json``; None is an older run without this file."""
    return RecordedTasks(**content) if content else BEFORE_TASKS


# Runs from before there were tasks: all of them classify, and F1 is monitored.
BEFORE_TASKS = RecordedTasks("val/f1", "max", {Classification.kind: Classification().describe()})
