"""Groups jobs into chains that run one after another in the same place. Standard library only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lit_humor.launch.queue import Job


def chains_of(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return chains with each job once, parents first; a job follows its only parent if it is its only child."""
    num_children = Counter(parent for job in jobs for parent in job.after)
    chain_of: dict[Job, list[Job]] = {}
    for job in jobs:
        parents = [parent for parent in job.after if parent in chain_of]
        is_next = len(job.after) == len(parents) == 1 and num_children[parents[0]] == 1
        chain_of[job] = chain_of[parents[0]] if is_next else []
        chain_of[job].append(job)
    return [chain for job, chain in chain_of.items() if chain[0] is job]
