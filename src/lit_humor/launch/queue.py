"""Trains many runs on one machine, some at a time; knows of them what their folders tell. Standard library only."""

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
_SAVING_SECONDS = 120.0  # that a run has to save when all are stopped


@dataclass(frozen=True)
class Slot:
    """A place where a run may be.

    Attributes:
        cores: Numbers of its cores; threads and loader processes follow from them.
        environment: Variables of its processes.
    """

    cores: Sequence[int]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Job:
    """A run in a queue.

    Attributes:
        folder: Its run folder, there or to be made.
        command: What starts it, or goes on with it.
        cost: How long it takes against the others, in any unit.
        after: Jobs that have to be done before.
        state: ``waiting``, ``running``, ``done``, ``failed``, ``interrupted`` or ``skipped``.
        slot: Where it runs.
        process: While it runs.
        started: ``time.time()`` of its start.
        seconds: From its start to its end.
        is_asked_to_stop: Whether someone had it stop before its end.
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
    """Runs jobs somewhere, and keeps ``queue.json``.

    Args:
        folder: Gets ``queue.json``, and ``output/`` with what each run prints.
        notice: Called with a job whenever its state changes.
        num_slots: Runs at a time.

    Attributes:
        can_search: Whether jobs may be added while it runs, as a search does.
        slots: Places on this machine, where a run can be timed beforehand; empty where the jobs run elsewhere.
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
            jobs: What to run.
            each_round: Called again and again; may add to ``jobs``.
        """
        raise NotImplementedError

    def output_of(self, job: Job) -> Path:
        """What a run printed."""
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
    """Runs jobs in processes of their own, the longest of those that can start first.

    Args:
        slots: Places; as many runs at a time.
        folder: Gets ``queue.json``, and ``output/`` with what each run prints.
        notice: Called with a job whenever its state changes.
    """

    def __init__(self, slots: Sequence[Slot], folder: Path, notice: Callable[[Job], None]) -> None:
        super().__init__(folder, notice, len(slots))
        self.slots = slots

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Run all jobs; none outlives this call, however it ends, nor this process: what is stopped saves first."""
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
        if job.state == record.WAITING and any(one.state in (record.FAILED, record.SKIPPED) for one in job.after):
            self._set(job, record.SKIPPED)

    def _start(self, jobs: Iterable[Job]) -> None:
        jobs = list(jobs)
        taken = {job.slot for job in jobs if job.process is not None}
        free = (slot for slot in range(len(self.slots)) if slot not in taken)
        left = {job for job in jobs if job.state != record.DONE}
        ready = ready_jobs([job for job in jobs if job.state == record.WAITING], left, lambda job: job.cost)
        for job, slot in zip(ready, free, strict=False):
            seen = look(job.folder)
            if seen.is_alive and seen.status.get("host") == socket.gethostname():
                continue  # of an earlier call that was killed; it is saving
            with self.output_of(job).open("ab") as output:
                job.process = subprocess.Popen(
                    job.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | self.slots[slot].environment,
                    start_new_session=True,  # Ctrl-C is ours to pass on
                    preexec_fn=functools.partial(_begin, self.slots[slot].cores),
                )
            job.slot, job.started = slot, time.time()
            self._set(job, record.RUNNING)

    def _stop(self, jobs: Sequence[Job]) -> None:
        """Ask runs to save and leave, wait for them, and end those that do not."""
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
    """Jobs that wait for none of those that are left, the longest first."""
    ready = (job for job in waiting if not any(parent in left for parent in job.after))
    return sorted(ready, key=cost, reverse=True)


def split_machine(count: int, gpus: Sequence[str]) -> list[Slot]:
    """So many slots, each with its share of the cores, and a GPU where there are some."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    share = max(1, len(cores) // count)
    slots = []
    for number in range(count):
        first = number * share % len(cores)
        environment = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
        slots.append(Slot(cores[first : first + share], environment))
    return slots


def _begin(cores: Sequence[int]) -> None:
    """Stay on some cores; save and leave when the queue is killed."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, cores)
    end_with_parent(signal.SIGTERM)
