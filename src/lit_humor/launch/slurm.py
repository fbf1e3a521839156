"""Trains many runs on a SLURM cluster, through submitit; knows of them what their folders and sacct tell."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lit_humor.core.durations import parse_duration
from lit_humor.core.errors import MissingExtraError, UserError, one_line
from lit_humor.launch.chains import chains_of
from lit_humor.launch.queue import Job, Queue
from lit_humor.runs import record
from lit_humor.runs.watch import is_done, look

_ALIVE = ("PENDING", "RUNNING", "REQUEUED", "COMPLETING", "CONFIGURING", "SUSPENDED", "RESIZING")
_PERHAPS = ("UNKNOWN", "PREEMPTED")  # just submitted, or about to be put back; not for long
_PATIENCE_SECONDS = 300.0
_MOST_REQUEUES = 1000
_FIRST_PORT, _NUM_PORTS, _PORTS_OF_JOB = 20000, 10000, 64
_SAVING_SHARE = 0.8  # of the seconds before the limit; the rest is for putting the job back


class Chain:
    """What one SLURM job does: commands, one after another.

    Shortly before its time limit the command that runs saves and leaves, and SLURM puts the job into its queue again:
    there it finds what is done and goes on with what is not.

    Args:
        commands: Each started anew after the limit; they have to go on by themselves.
        seconds_to_save: That a command has for it.
    """

    def __init__(self, commands: Sequence[Sequence[str]], seconds_to_save: float) -> None:
        self.commands, self.seconds_to_save = [list(one) for one in commands], seconds_to_save
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Run the commands.

        Raises:
            RuntimeError: One of them failed.
        """
        # A training starts its processes itself; with these it would wait for srun to do it.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
        for place, command in enumerate(self.commands):
            if int(os.environ.get("SLURM_JOB_NUM_NODES", "1")) > 1:
                environment |= _place_among_nodes(place)
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)
            while (code := self._process.poll()) is None:
                time.sleep(0.1)
            if code:
                raise RuntimeError(f"exit code {code}: {shlex.join(command)}")

    def checkpoint(self) -> Any:
        """Have the command save and leave; called by submitit at the signal that comes before the limit."""
        from submitit.helpers import DelayedSubmission

        deadline = time.monotonic() + self.seconds_to_save
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR2)
            while self._process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
        return DelayedSubmission(Chain(self.commands, self.seconds_to_save))


def _place_among_nodes(number: int) -> dict[str, str]:
    """What tells a command on several nodes which of them this is; each command of each job has ports of its own."""
    from submitit import JobEnvironment

    here = JobEnvironment()
    port = _FIRST_PORT + (int(here.raw_job_id) * _PORTS_OF_JOB + 2 * number) % _NUM_PORTS
    return {"NODE_RANK": str(here.node), "MASTER_ADDR": here.hostnames[0], "MASTER_PORT": str(port)}


class SlurmQueue(Queue):
    """Submits each chain of jobs as one SLURM job, equal ones as an array, and watches them.

    The same plan submitted again finds the jobs that SLURM still has.

    Args:
        folder: Gets ``queue.json``, and ``output/`` with scripts and what each job prints; all nodes see it.
        notice: Called with a job whenever its state changes.
        time: Time limit of a SLURM job, such as 6h.
        seconds_to_save: How long before it a run is told to save.
        at_a_time: SLURM jobs of an array that run side by side.
        watch: Stay until all is done; otherwise return when all are submitted.
        poll_seconds: Time between two questions to sacct.
        options: What else ``sbatch`` is told, by submitit's names: partition, account, qos, gpus_per_node,
            cpus_per_task, mem (such as 60GB), setup (lines before the command), ...; None for SLURM's default.

    Raises:
        MissingExtraError: submitit is not installed.
        UserError: The limit is no time, SLURM's commands are not there, or an option is none.
    """

    def __init__(
        self,
        folder: Path,
        notice: Callable[[Job], None],
        *,
        time: str,
        seconds_to_save: int,
        at_a_time: int,
        watch: bool,
        poll_seconds: float,
        **options: Any,
    ) -> None:
        super().__init__(folder, notice, at_a_time)
        seconds = parse_duration(time)
        if seconds is None:
            raise UserError("launch.time", found=time, expected="a time such as 90min or 6h", fix="set launch.time=6h")
        try:
            from submitit import SlurmExecutor
        except ImportError:
            raise MissingExtraError("launch=slurm", package="submitit", extra="slurm") from None
        missing = [name for name in ("sbatch", "srun", "sacct") if shutil.which(name) is None]
        if missing:
            fix = "type it on a login node, or set launch=local"
            raise UserError("launch=slurm", found=f"no {' '.join(missing)} here", expected="a SLURM cluster", fix=fix)
        self.watch, self.poll_seconds, self.seconds_to_save = watch, poll_seconds, seconds_to_save
        self.executor = SlurmExecutor(self.output_dir, max_num_timeout=_MOST_REQUEUES)
        asked = {name: value for name, value in options.items() if value is not None}
        if cores := asked.get("cpus_per_task"):
            asked["srun_args"] = [f"--cpus-per-task={cores}"]  # some versions of srun do not take it over
        try:
            self.executor.update_parameters(
                job_name=folder.name,
                ntasks_per_node=1,
                time=max(1, round(seconds / 60)),
                signal_delay_s=seconds_to_save,
                array_parallelism=at_a_time,
                stderr_to_stdout=True,
                wckey=None,
                additional_parameters={"kill-on-invalid-dep": "yes", "requeue": True},
                **asked,
            )
        except ValueError as error:
            expected, fix = "options of sbatch", "see configs/launch/slurm.yaml"
            raise UserError("launch", found=one_line(error), expected=expected, fix=fix) from None
        self._submitted: dict[Path, str] = {}  # run folder: SLURM's id
        self._in_doubt_since: dict[str, float] = {}
        self._gone: set[Job] = set()  # not done when SLURM no longer had them

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Submit what is not done and not submitted, and watch it; jobs stay in SLURM however this call ends."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._jobs = jobs
        self._find_submitted()
        while True:
            self._ask()
            for job in jobs:
                self._look_after(job)
            each_round()
            self._submit([job for job in jobs if job.state == record.WAITING and job.folder not in self._submitted])
            if not self.watch or not any(job.state in (record.WAITING, record.RUNNING) for job in jobs):
                return
            time.sleep(self.poll_seconds)

    def output_of(self, job: Job) -> Path:
        """What the SLURM job of a run printed."""
        return self.output_dir / f"{self._submitted.get(job.folder, 'none')}_0_log.out"

    def _find_submitted(self) -> None:
        """Jobs of an earlier call that SLURM still has."""
        path = self.folder / record.QUEUE
        told = record.read_json(path)["jobs"] if path.is_file() else []
        before = {Path(one["folder"]): one["slurm"] for one in told if one.get("slurm")}
        self._submitted = dict(before)
        self._ask()
        self._submitted = {folder: job_id for folder, job_id in before.items() if self._is_alive(job_id)}

    def _ask(self) -> None:
        """Ask sacct for all jobs at once."""
        watcher = self.executor.job_class.watcher
        watcher.clear()
        job_ids = list(dict.fromkeys(self._submitted.values()))
        for job_id in job_ids[1:]:
            watcher.get_state(job_id, mode="cache")  # makes it known
        if job_ids:
            watcher.get_state(job_ids[0], mode="force")

    def _is_alive(self, job_id: str) -> bool:
        """Whether SLURM had a job when it was asked last."""
        state = self.executor.job_class.watcher.get_state(job_id, mode="cache").split()[0]
        if state not in _PERHAPS:
            self._in_doubt_since.pop(job_id, None)
            return state in _ALIVE
        return time.monotonic() - self._in_doubt_since.setdefault(job_id, time.monotonic()) < _PATIENCE_SECONDS

    def _look_after(self, job: Job) -> None:
        if job.state not in (record.WAITING, record.RUNNING):
            return
        job_id = self._submitted.get(job.folder)
        is_alive = job_id is not None and self._is_alive(job_id)
        state = job.state
        if is_done(job.folder):
            state = record.DONE
        elif any(parent.state in (record.FAILED, record.SKIPPED) for parent in job.after):
            state = record.SKIPPED
        elif job_id and not is_alive:
            state = record.FAILED if job in self._gone else job.state
            self._gone.add(job)  # once more: what its node wrote last may take a moment to be seen here
        elif job_id:
            self._gone.discard(job)
            state = record.RUNNING if look(job.folder).is_alive else record.WAITING
        if state != job.state:
            self._set(job, state)

    def _submit(self, jobs: Sequence[Job]) -> None:
        """Chains that wait for the same are an array."""
        from submitit.core.utils import FailedJobError

        chains = chains_of(jobs)
        while chains:
            waits_for = {
                id(chain): sorted({self._submitted[one.folder] for one in chain[0].after if one.state != record.DONE})
                for chain in chains
                if all(one.state == record.DONE or one.folder in self._submitted for one in chain[0].after)
            }
            parents = next(iter(waits_for.values()))
            equal = [chain for chain in chains if waits_for.get(id(chain)) == parents]
            chains = [chain for chain in chains if chain not in equal]
            self.executor.update_parameters(dependency=f"afterok:{':'.join(parents)}" if parents else None)
            saving = _SAVING_SHARE * self.seconds_to_save
            try:
                with self.executor.batch():
                    handles = [self.executor.submit(Chain([job.command for job in one], saving)) for one in equal]
            except FailedJobError as error:  # of sbatch
                fix = "correct launch.*, and type the same again; what is submitted stays"
                told = " ".join(str(error).split())[-500:]
                raise UserError("launch=slurm", found=told, expected="a job that SLURM takes", fix=fix) from None
            for chain, handle in zip(equal, handles, strict=True):
                self._submitted |= {job.folder: handle.job_id for job in chain}
                self.notice(chain[0])
            self._write()

    def _describe(self, job: Job) -> dict[str, Any]:
        return super()._describe(job) | {"slurm": self._submitted.get(job.folder)}
