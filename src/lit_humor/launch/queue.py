"""Queues of runs, and the queue of this machine. Reads the states of runs from their folders. Standard library only."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_humor.runs import record
from lit_humor.runs.processes import end_with_parent
from lit_humor.runs.watch import is_done, look

_POLL_SECONDS = 0.2
_SAVING_SECONDS = 120.0  # time for runs to save when all are stopped


@dataclass(frozen=True)
class Slot:
    """A place on this machine for one run at a time.

    Attributes:
        cores: Numbers of its cores; they limit the threads and loader processes of a run.
        environment: Environment variables of its processes.
    """

    cores: Sequence[int]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Job:
    """A run in a queue.

    Attributes:
        folder: Its run folder; need not exist yet.
        command: Command that starts or resumes it.
        cost: Expected duration relative to other jobs, in any unit.
        after: Jobs that have to be done first.
        state: ``waiting``, ``running``, ``done``, ``failed``, ``interrupted`` or ``skipped``.
        slot: Index of its slot; -1 before it started.
        process: Its process; None if it does not run.
        started: ``time.time()`` of its start.
        seconds: Time from its start to its end.
        is_asked_to_stop: Whether it was asked to stop early.
    """

    folder: Path
    command: Sequence[str]
    cost: float = 1.0
    after: Sequence[Job] = ()
    state: str = record.WAITING
    slot: int = -1
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started: float = 0.0
    seconds: float = 0.0
    is_asked_to_stop: bool = False


class Queue:
    """Base class: runs jobs in some place, and writes their states to ``queue.json``.

    Args:
        folder: Folder for ``queue.json`` and for ``output/`` with the output of each run.
        notice: Called with a job whenever its state changes.
        num_slots: Number of runs at a time.

    Attributes:
        can_search: Whether jobs may be added while it runs, as a search does.
        slots: Slots on this machine, in which runs can be timed first; empty if the jobs run on other machines.
    """

    can_search = True
    slots: Sequence[Slot] = ()

    def __init__(self, folder: Path, notice: Callable[[Job], None], num_slots: int) -> None:
        self.folder, self.notice, self.num_slots = folder, notice, num_slots
        self.output_dir = folder / "output"
        self._jobs: Sequence[Job] = ()

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Run all jobs, parents before their children in the list; return when each is done, failed or skipped.

        Args:
            jobs: The jobs to run.
            each_round: Called at each check of the jobs; may add to ``jobs``.
        """
        raise NotImplementedError

    def output_of(self, job: Job) -> Path:
        """Return the file with the output of a run."""
        return self.output_dir / f"{job.folder.name}.txt"

    def _set(self, job: Job, state: str) -> None:
        job.state = state
        self.notice(job)
        self._write()

    def _write(self) -> None:
        place = {"pid": os.getpid(), "host": socket.gethostname(), "slots": self.num_slots}
        record.write_json(self.folder / record.QUEUE, {**place, "jobs": [self._describe(job) for job in self._jobs]})

    def _describe(self, job: Job) -> dict[str, Any]:
        return {"folder": str(job.folder), "state": job.state, "slot": job.slot, "seconds": job.seconds}


class LocalQueue(Queue):
    """Runs each job in its own process; of the jobs that can start, the longest goes first.

    Args:
        slots: Slots; one run at a time in each.
        folder: Folder for ``queue.json`` and for ``output/`` with the output of each run.
        notice: Called with a job whenever its state changes.
    """

    def __init__(self, slots: Sequence[Slot], folder: Path, notice: Callable[[Job], None]) -> None:
        super().__init__(folder, notice, len(slots))
        self.slots = slots

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Run all jobs. When this call or process ends early, running jobs are asked to save, and end too."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._jobs = jobs
        try:
            while True:
                for job in jobs:
                    self._look_after(job)
                each_round()
                if not any(job.state in (record.WAITING, record.RUNNING) for job in jobs):
                    return
                self._start(jobs)
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop([job for job in jobs if job.process is not None])

    def _look_after(self, job: Job) -> None:
        if job.process is not None and (code := job.process.poll()) is not None:
            job.process, job.seconds = None, time.time() - job.started
            not_done = record.INTERRUPTED if job.is_asked_to_stop else record.FAILED
            self._set(job, record.DONE if code == 0 and is_done(job.folder) else not_done)
        if job.state == record.WAITING and is_done(job.folder):
            self._set(job, record.DONE)
        if job.state == record.WAITING and any(parent.state in (record.FAILED, record.SKIPPED) for parent in job.after):
            self._set(job, record.SKIPPED)

    def _start(self, jobs: Iterable[Job]) -> None:
        jobs = list(jobs)
        taken = {job.slot for job in jobs if job.process is not None}
        free = (slot for slot in range(len(self.slots)) if slot not in taken)
        left = {job for job in jobs if job.state != record.DONE}
        ready = ready_jobs([job for job in jobs if job.state == record.WAITING], left, lambda job: job.cost)
        for job, slot in zip(ready, free, strict=False):
            run = look(job.folder)
            if run.is_alive and run.status.get("host") == socket.gethostname():
                continue  # an earlier call was killed, and its run is still saving
            with self.output_of(job).open("ab") as output:
                job.process = subprocess.Popen(
                    job.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | self.slots[slot].environment,
                    start_new_session=True,  # Ctrl-C must not reach it directly: this process passes it on
                    preexec_fn=functools.partial(_begin, self.slots[slot].cores),
                )
            job.slot, job.started = slot, time.time()
            self._set(job, record.RUNNING)

    def _stop(self, jobs: Sequence[Job]) -> None:
        """Ask runs to save and exit, wait for them, and kill those that take too long."""
        for job in jobs:
            assert job.process is not None
            job.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _SAVING_SECONDS
        for job in jobs:
            assert job.process is not None
            try:
                job.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                job.process.kill()
                job.process.wait()
            job.process, job.seconds = None, time.time() - job.started
            self._set(job, record.INTERRUPTED)


def ready_jobs(waiting: Iterable[Job], left: Container[Job], cost: Callable[[Job], float]) -> list[Job]:
    """Return the waiting jobs whose parents are not in ``left``, the longest first."""
    ready = (job for job in waiting if not any(parent in left for parent in job.after))
    return sorted(ready, key=cost, reverse=True)


def split_machine(count: int, gpus: Sequence[str]) -> list[Slot]:
    """Return ``count`` slots, each with an equal share of the cores, and with a GPU if there are any."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    share = max(1, len(cores) // count)
    slots = []
    for number in range(count):
        first = number * share % len(cores)
        environment = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        slots.append(Slot(cores[first : first + share], environment))
    return slots


def _begin(cores: Sequence[int]) -> None:
    """Bind this process to some cores, and have it save and exit when the queue is killed."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)
    end_with_parent(signal.SIGTERM)
