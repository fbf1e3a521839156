"""Trains many runs on one machine, some at a time; knows of them what their folders tell. Standard library only."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lit_humor.runs import record
from lit_humor.runs.watch import look

WAITING, SKIPPED = "waiting", "skipped"  # what a job may be beside the states of a run
_POLL_SECONDS = 0.2
_SAVING_SECONDS = 120.0  # that a run has to save when all are stopped
_PR_SET_PDEATHSIG = 1


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
        after: The job that has to be done before.
        state: ``waiting``, ``running``, ``done``, ``failed``, ``interrupted`` or ``skipped``.
        slot: Where it runs.
        process: While it runs.
        started: ``time.time()`` of its start.
        seconds: From its start to its end.
    """

    folder: Path
    command: Sequence[str]
    cost: float = 1.0
    after: Job | None = None
    state: str = WAITING
    slot: int = -1
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started: float = 0.0
    seconds: float = 0.0


class LocalQueue:
    """Runs jobs in processes of their own, the longest of those that can start first.

    Args:
        slots: Places; as many runs at a time.
        output_dir: Folder for what each run prints.
        notice: Called with a job whenever its state changes.
    """

    def __init__(self, slots: Sequence[Slot], output_dir: Path, notice: Callable[[Job], None]) -> None:
        self.slots, self.output_dir, self.notice = slots, output_dir, notice

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs, parents before their children in the list; return when each is done, failed or skipped.

        No run outlives this call, however it ends, nor this process: what is stopped saves first.
        """
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for job in jobs:
            if is_done(job.folder):
                self._set(job, record.DONE)
        try:
            while any(job.state in (WAITING, record.RUNNING) for job in jobs):
                for job in jobs:
                    self._look_after(job)
                self._start(jobs)
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop([job for job in jobs if job.process is not None])

    def output_of(self, job: Job) -> Path:
        """What a run printed."""
        return self.output_dir / f"{job.folder.name}.txt"

    def _look_after(self, job: Job) -> None:
        if job.process is not None and (code := job.process.poll()) is not None:
            job.process, job.seconds = None, time.time() - job.started
            self._set(job, record.DONE if code == 0 and is_done(job.folder) else record.FAILED)
        if job.state == WAITING and job.after is not None and job.after.state in (record.FAILED, SKIPPED):
            self._set(job, SKIPPED)

    def _start(self, jobs: Iterable[Job]) -> None:
        jobs = list(jobs)
        taken = {job.slot for job in jobs if job.process is not None}
        free = (slot for slot in range(len(self.slots)) if slot not in taken)
        ready = (job for job in jobs if job.state == WAITING and (job.after is None or job.after.state == record.DONE))
        for job, slot in zip(sorted(ready, key=lambda job: -job.cost), free, strict=False):
            if look(job.folder).is_alive:  # of an earlier call that was killed; it is saving
                continue
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

    def _set(self, job: Job, state: str) -> None:
        job.state = state
        self.notice(job)


def is_done(folder: Path) -> bool:
    """Whether a run ended well."""
    return (folder / record.RESULT).is_file() and look(folder).state == record.DONE


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
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
