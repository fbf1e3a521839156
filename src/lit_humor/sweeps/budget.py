"""Says when a plan will have ended before it starts in earnest, and what would make it fit."""

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
from lit_humor.sweeps.plans import PlannedRun

_MOST_SLOTS = 64


def check_budget(planned: Sequence[PlannedRun], placed: Sequence[Job], each: str, budget: str, queue: Queue) -> None:
    """Time a few steps of every run that is to be done, give jobs their costs in seconds, and tell the end.

    Args:
        planned: The runs.
        placed: The job of each.
        each: The key that tells repeats apart; they are taken to last alike.
        budget: A time such as ``6h``.
        queue: Of the plan; runs the timing in its slots first.

    Raises:
        UserError: No such time, a run that cannot be built, or a plan that does not fit.
    """
    seconds = parse_duration(budget)
    if seconds is None:
        raise UserError("budget", found=budget, expected="a time such as 90min or 6h", fix="set budget=6h")
    if not queue.slots:
        raise UserError("budget", found="runs on other machines", expected="launch=local", fix="leave budget away")
    paces = _paces(planned, placed, each, queue)
    if not paces:
        return  # all is done
    costs, slots = _costs(paces), len(queue.slots)
    for job, cost in costs.items():
        job.cost = cost
    told = forecast(costs, slots)
    until = time.strftime("%H:%M", time.localtime(time.time() + told.whole))
    screen.show(f"Timed on their first steps, all take {_say(told, slots)}; the end is about {until}, or before.")
    if told.whole <= seconds:
        return
    ways = []
    enough = next((n for n in range(slots + 1, _MOST_SLOTS) if forecast(costs, n).whole <= seconds), None)
    if enough:
        ways.append(f"slots={enough} on as many more devices like these")
    epochs = int(max(pace["max_epochs"] for pace in paces.values())) - 1
    while epochs and forecast(_costs(paces, epochs), slots).whole > seconds:
        epochs -= 1
    if epochs:
        ways.append(f"trainer.max_epochs={epochs}")
    fix = ", or ".join(f"set {way}" for way in ways) or f"set budget={math.ceil(told.whole / 60)}min"
    raise UserError("budget", found=say_duration(told.whole), expected=f"at most {budget}", fix=fix)


def say_what_it_took(jobs: Sequence[Job], num_slots: int, seconds: float) -> dict[str, float]:
    """Tell what the jobs of this call took together, one by one, and in the best of orders; return that."""
    ideal = forecast({job: job.seconds for job in jobs if job.seconds}, num_slots)
    found = Forecast(seconds, ideal.one_by_one, ideal.at_least)
    screen.show(f"All took {_say(found, num_slots)}.")
    return {"seconds": seconds, "one_by_one_seconds": found.one_by_one, "at_least_seconds": found.at_least}


def _say(told: Forecast, slots: int) -> str:
    return (
        f"{say_duration(told.whole)} with slots={slots} (one by one {say_duration(told.one_by_one)}, "
        f"in no order less than {say_duration(told.at_least)})"
    )


def _paces(
    planned: Sequence[PlannedRun], placed: Sequence[Job], each: str, queue: Queue
) -> dict[Job, Mapping[str, float]]:
    """What ``measure_pace`` found for each job to be done; repeats share one timing, evaluations that of a parent."""
    timings: dict[tuple[str, ...], Job] = {}
    of: dict[Job, Job] = {}
    scores_only = set[Job]()
    for run, job in zip(planned, placed, strict=True):
        if run.command == "train" and not is_done(job.folder):
            kind = tuple(one for one in run.overrides if not one.startswith(f"{each}="))
            folder = queue.folder / "paces" / f"{len(timings)}"
            command = [sys.executable, "-m", "lit_humor.benchmarking.pace", str(folder), *job.command[2:]]
            of[job] = timings.setdefault(kind, Job(folder, command))
        elif job.after and job.after[0] in of:
            of[job] = of[job.after[0]]
            scores_only.add(job)
    timer = LocalQueue(queue.slots, queue.folder / "paces", lambda job: None)
    shutil.rmtree(timer.folder, ignore_errors=True)
    if timings:
        screen.show(f"Timing the first steps of {len(timings)} kinds of runs ...")
        timer.run(list(timings.values()))
    for timing in timings.values():
        if timing.state != record.DONE:
            told = (timer.output_of(timing).read_text(errors="replace").splitlines() or ["no word"])[-1]
            raise UserError(
                "budget",
                found=f"a run that cannot be built ({told.removesuffix('.')})",
                expected="runs that can",
                fix=told.rpartition(" Fix: ")[2].removesuffix(".")
                if " Fix: " in told
                else f"cat {timer.output_of(timing)}",
            )
    found = {timing: record.read_json(timing.folder / record.RESULT) for timing in timings.values()}
    for timing, pace in found.items():
        pace["start_seconds"] = max(0.0, timing.seconds - pace["measured_seconds"])
    return {job: found[timing] | ({"max_epochs": 0} if job in scores_only else {}) for job, timing in of.items()}


def _costs(paces: Mapping[Job, Mapping[str, float]], max_epochs: float = math.inf) -> dict[Job, float]:
    """Seconds of each training, if no patience ends it early."""
    costs = {}
    for job, pace in paces.items():
        epochs = min(pace["max_epochs"], max_epochs)
        scored = pace["val_seconds"] + pace["test_seconds"]
        costs[job] = pace["start_seconds"] + epochs * (pace["epoch_seconds"] + pace["val_seconds"]) + scored
    return costs
