"""The metrics that can be monitored, by early stopping, the best checkpoint and lists of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lit_humor.core.errors import UserError
from lit_humor.tasks.task import Task

MODES = ("max", "min")


def monitors_of(tasks: Sequence[type[Task]]) -> tuple[str, ...]:
    """Return what can be monitored: validation metrics, those of the first task first, and the training loss."""
    return (*dict.fromkeys(f"val/{name}" for task in tasks for name in task.scalars), "train/loss")


def unknown_monitors(
    tasks: Sequence[type[Task]], monitor: str | None, mode: str | None, callbacks: Mapping[str, Any] | None
) -> Iterator[UserError]:
    """Yield errors for monitored names that no task measures; each names the key and the metrics that exist.

    Args:
        tasks: The tasks of the run.
        monitor: The monitored metric; None in an older run, whose configuration has none.
        mode: ``max`` or ``min``, whichever is better.
        callbacks: Nodes of callbacks by name; some have their own ``monitor``.
    """
    known = monitors_of(tasks)
    nodes = {name: node for name, node in (callbacks or {}).items() if node is not None}
    if monitor not in (None, *known):
        yield _unknown("monitor", str(monitor), known)
    for name, node in nodes.items():
        if node.get("monitor") not in (None, monitor, *known):
            yield _unknown(f"callbacks.{name}.monitor", node["monitor"], known)
    if mode not in (None, *MODES):
        yield UserError("mode", found=str(mode), expected="max or min", fix="set mode=max")


def _unknown(key: str, name: str, known: Sequence[str]) -> UserError:
    return UserError(key, found=name, expected=f"one of {', '.join(known)}", fix=f"set {key}={known[0]}")
