"""Predicts when a queue ends, from the seconds of its jobs. Standard library only."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from lit_humor.launch.queue import Job, ready_jobs


@dataclass(frozen=True)
class Forecast:
    """Predicted duration of a queue, in seconds.

    Attributes:
        whole: From its start to the end of its last job.
        one_by_one: The same in a single slot.
        at_least: Lower bound for any order: the longest chain of jobs that wait for each other, or all slots busy.
    """

    whole: float
    one_by_one: float
    at_least: float


def forecast(seconds: Mapping[Job, float], num_slots: int) -> Forecast:
    """Simulate ``LocalQueue``.

    Args:
        seconds: Seconds of each job that is not done, parents before their children; a missing parent is done.
        num_slots: Number of jobs that run at a time.
    """
    waiting, running, now = list(seconds), list[tuple[float, int, Job]](), 0.0
    left = set(waiting)
    while left:
        for job in ready_jobs(waiting, left, seconds.__getitem__)[: num_slots - len(running)]:
            waiting.remove(job)
            heapq.heappush(running, (now + seconds[job], len(waiting), job))
        now, _, ended = heapq.heappop(running)
        left.remove(ended)
    chains: dict[Job, float] = {}
    for job, cost in seconds.items():
        chains[job] = cost + max((chains.get(parent, 0.0) for parent in job.after), default=0.0)
    one_by_one = sum(seconds.values())
    return Forecast(now, one_by_one, max([*chains.values(), one_by_one / num_slots]))
