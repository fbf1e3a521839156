"""Runs the jobs of launch=ssh on the remote machine: ``python -m lit_humor.launch.remote JOBS_FILE``.

Standard library only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lit_humor.launch.queue import Job, LocalQueue, split_machine
from lit_humor.runs import record
from lit_humor.runs.resources import gpu_numbers


def describe_jobs(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return jobs as JSON values; parents are given by their index in the list."""
    return [
        {
            "folder": str(job.folder),
            "command": list(job.command),
            "cost": job.cost,
            "after": [jobs.index(parent) for parent in job.after if parent in jobs],
        }
        for job in jobs
    ]


def read_jobs(entries: Sequence[dict[str, Any]]) -> list[Job]:
    """Return the jobs from what ``describe_jobs`` returned."""
    jobs: list[Job] = []
    for entry in entries:
        parents = [jobs[index] for index in entry["after"]]
        jobs.append(Job(Path(entry["folder"]), entry["command"], entry["cost"], parents))
    return jobs


def main() -> None:
    """Run the jobs of a file, and write their states next to it; exit with code 1 if not all are done."""
    path = Path(sys.argv[1])
    content = record.read_json(path)
    jobs = read_jobs(content["jobs"])
    try:
        LocalQueue(split_machine(content["slots"], gpu_numbers()), path.parent, _notice).run(jobs)
    finally:
        record.write_json(path.with_name(record.STATES), {job.folder.name: job.state for job in jobs})
    sys.exit(0 if all(job.state == record.DONE for job in jobs) else 1)


def _notice(job: Job) -> None:
    print(f"{time.strftime('%H:%M:%S')} {job.folder.name}: {job.state}", flush=True)


if __name__ == "__main__":
    main()
