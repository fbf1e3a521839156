"""Predicts how long a plan will take before it starts, and suggests settings that fit the budget."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence

from lit_humor.core.durations import parse_duration, say_duration
from lit_humor.core.errors import UserError
from lit_humor.launch.queue import Job, LocalQueue, Queue
from lit_humor.runs import record, screen
from lit_humor.runs.watch import is_done
from lit_humor.sweeps.forecast import Forecast, forecast
from lit_humor.sweeps.planned_runs import PlannedRun

_MOST_SLOTS = 64


def check_budget(planned: Sequence[PlannedRun], placed: Sequence[Job], each: str, budget: str, queue: Queue) -> None:
    """Time a few steps of each kind of run, set the cost of each job in seconds, and show when the plan will end.

    Args:
        planned: The runs.
        placed: The job of each run.
        each: The key that distinguishes repeats; all repeats are assumed to take the same time.
        budget: A time such as ``6h``.
        queue: The queue of the plan; the timings run in its slots.

    Raises:
        UserError: The budget is not a time, a run cannot be built, or the plan would take longer.
    """
    seconds = parse_duration(budget)
    if seconds is None:
        raise UserError("budget", found=budget, expected="a time such as 90min or 6h", fix="set budget=6h")
    if not queue.slots:
        raise UserError("budget", found="runs on other machines", expected="launch=local", fix="leave budget out")
    paces = _paces(planned, placed, each, queue)
    if not paces:
        return  # all runs are done
    costs, slots = _costs(paces), len(queue.slots)
    for job, cost in costs.items():
        job.cost = cost
    expected = forecast(costs, slots)
    until = time.strftime("%H:%M", time.localtime(time.time() + expected.whole))
    screen.show(f"By their first steps, all runs take {_say(expected, slots)} and end at about {until} or earlier.")
    if expected.whole <= seconds:
        return
    ways = []
    enough = next((n for n in range(slots + 1, _MOST_SLOTS) if forecast(costs, n).whole <= seconds), None)
    if enough:
        ways.append(f"slots={enough} on as many devices of this kind")
    epochs = int(max(pace["max_epochs"] for pace in paces.values())) - 1
    while epochs and forecast(_costs(paces, epochs), slots).whole > seconds:
        epochs -= 1
    if epochs:
        ways.append(f"trainer.max_epochs={epochs}")
    fix = ", or ".join(f"set {way}" for way in ways) or f"set budget={math.ceil(expected.whole / 60)}min"
    raise UserError("budget", found=say_duration(expected.whole), expected=f"at most {budget}", fix=fix)


def say_what_it_took(jobs: Sequence[Job], num_slots: int, seconds: float) -> dict[str, float]:
    """Show and return the seconds that the jobs of this call took: together, one after another, and at the least."""
    ideal = forecast({job: job.seconds for job in jobs if job.seconds}, num_slots)
    taken = Forecast(seconds, ideal.one_by_one, ideal.at_least)
    screen.show(f"All runs took {_say(taken, num_slots)}.")
    return {"seconds": seconds, "one_by_one_seconds": taken.one_by_one, "at_least_seconds": taken.at_least}


def _say(times: Forecast, slots: int) -> str:
    return (
        f"{say_duration(times.whole)} with slots={slots} (one after another {say_duration(times.one_by_one)}, "
        f"at least {say_duration(times.at_least)} in any order)"
    )


def _paces(
    planned: Sequence[PlannedRun], placed: Sequence[Job], each: str, queue: Queue
) -> dict[Job, Mapping[str, float]]:
    """Return the result of ``measure_pace`` for each job that is not done.

    Repeats share one timing; an evaluation uses that of a parent.

    Raises:
        UserError: A run cannot be built.
    """
    timings: dict[tuple[str, ...], Job] = {}
    timing_of: dict[Job, Job] = {}
    scores_only = set[Job]()
    for run, job in zip(planned, placed, strict=True):
        if run.command == "train" and not is_done(job.folder):
            kind = tuple(setting for setting in run.overrides if not setting.startswith(f"{each}="))
            folder = queue.folder / "paces" / f"{len(timings)}"
            command = [sys.executable, "-m", "lit_humor.benchmarking.pace", str(folder), *job.command[2:]]
            timing_of[job] = timings.setdefault(kind, Job(folder, command))
        elif job.after and job.after[0] in timing_of:
            timing_of[job] = timing_of[job.after[0]]
            scores_only.add(job)
    timer = LocalQueue(queue.slots, queue.folder / "paces", lambda job: None)
    shutil.rmtree(timer.folder, ignore_errors=True)
    if timings:
        screen.show(f"Timing the first steps of {len(timings)} kinds of runs ...")
        timer.run(list(timings.values()))
    for timing in timings.values():
        if timing.state != record.DONE:
            message = (timer.output_of(timing).read_text(errors="replace").splitlines() or ["no output"])[-1]
            raise UserError(
                "budget",
                found=f"a run that cannot be built ({message.removesuffix('.')})",
                expected="runs that can be built",
                fix=message.rpartition(" Fix: ")[2].removesuffix(".")
                if " Fix: " in message
                else f"cat {timer.output_of(timing)}",
            )
    paces = {timing: record.read_json(timing.folder / record.RESULT) for timing in timings.values()}
    for timing, pace in paces.items():
        pace["start_seconds"] = max(0.0, timing.seconds - pace["measured_seconds"])
    return {job: paces[timing] | ({"max_epochs": 0} if job in scores_only else {}) for job, timing in timing_of.items()}


def _costs(paces: Mapping[Job, Mapping[str, float]], max_epochs: float = math.inf) -> dict[Job, float]:
    """Return the seconds of each job, if early stopping does not end it before."""
    costs = {}
    for job, pace in paces.items():
        epochs = min(pace["max_epochs"], max_epochs)
        scored = pace["val_seconds"] + pace["test_seconds"]
        costs[job] = pace["start_seconds"] + epochs * (pace["epoch_seconds"] + pace["val_seconds"]) + scored
    return costs
