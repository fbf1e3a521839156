"""When a queue will have ended, told from what its jobs take. Standard library only."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from lit_humor.launch.queue import Job, ready_jobs


@dataclass(frozen=True)
class Forecast:
    """Seconds that a queue takes.

    Attributes:
        whole: From its start to the end of its last job.
        one_by_one: In a single slot.
        at_least: What no order can beat: the longest chain of jobs that wait for each other, or all slots in full use.
    """

    whole: float
    one_by_one: float
    at_least: float


def forecast(seconds: Mapping[Job, float], num_slots: int) -> Forecast:
    """Play through what ``LocalQueue`` does.

    Args:
        seconds: Of each job that is to be done, parents before their children; a parent that is missing is done.
        num_slots: How many run at a time.
    """
    waiting, going, now = list(seconds), list[tuple[float, int, Job]](), 0.0
    left = set(waiting)
    while left:
        for job in ready_jobs(waiting, left, seconds.__getitem__)[: num_slots - len(going)]:
            waiting.remove(job)
            heapq.heappush(going, (now + seconds[job], len(waiting), job))
        now, _, ended = heapq.heappop(going)
        left.remove(ended)
    chains: dict[Job, float] = {}
    for job, cost in seconds.items():
        chains[job] = cost + max((chains.get(one, 0.0) for one in job.after), default=0.0)
    one_by_one = sum(seconds.values())
    return Forecast(now, one_by_one, max([*chains.values(), one_by_one / num_slots]))
