"""Trains many runs on a SLURM cluster, through submitit; reads their states from run folders and sacct."""

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
_PERHAPS = ("UNKNOWN", "PREEMPTED")  # just submitted, or about to be requeued; these states do not last
_PATIENCE_SECONDS = 300.0
_MOST_REQUEUES = 1000
_FIRST_PORT, _NUM_PORTS, _PORTS_OF_JOB = 20000, 10000, 64
_SAVING_SHARE = 0.8  # of the seconds before the time limit; the rest is for requeueing the job


class Chain:
    """The content of one SLURM job: commands, one after another.

    Shortly before the time limit of the job, the running command saves and exits, and SLURM requeues the job. Then all
    commands start again; finished ones do nothing, and the others resume.

    Args:
        commands: The commands; each has to resume when it is started again.
        seconds_to_save: Time for a command to save, in seconds.
    """

    def __init__(self, commands: Sequence[Sequence[str]], seconds_to_save: float) -> None:
        self.commands, self.seconds_to_save = [list(command) for command in commands], seconds_to_save
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Run the commands.

        Raises:
            RuntimeError: A command failed.
        """
        # A training starts its processes itself; with these variables it would wait for srun to start them.
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
        """Have the running command save and exit; submitit calls this at the signal before the time limit."""
        from submitit.helpers import DelayedSubmission

        deadline = time.monotonic() + self.seconds_to_save
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR2)
            while self._process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
        return DelayedSubmission(Chain(self.commands, self.seconds_to_save))


def _place_among_nodes(number: int) -> dict[str, str]:
    """Return the variables that tell a command on several nodes its node; each command of a job has its own ports."""
    from submitit import JobEnvironment

    here = JobEnvironment()
    port = _FIRST_PORT + (int(here.raw_job_id) * _PORTS_OF_JOB + 2 * number) % _NUM_PORTS
    return {"NODE_RANK": str(here.node), "MASTER_ADDR": here.hostnames[0], "MASTER_PORT": str(port)}


class SlurmQueue(Queue):
    """Submits each chain of jobs as one SLURM job, and chains that wait for the same jobs as an array; watches them.

    If the same plan is submitted again, it finds the jobs that SLURM still has.

    Args:
        folder: Folder for ``queue.json`` and for ``output/`` with scripts and output of jobs; all nodes need access.
        notice: Called with a job whenever its state changes.
        time: Time limit of a SLURM job, such as 6h.
        seconds_to_save: Seconds before the time limit at which a run is told to save.
        at_a_time: Number of SLURM jobs of an array that run at a time.
        watch: Return when all jobs have ended; otherwise when all are submitted.
        poll_seconds: Time between two queries of sacct.
        options: Further options of ``sbatch``, with the names of submitit: partition, account, qos, gpus_per_node,
            cpus_per_task, mem (such as 60GB), setup (lines before the command), ...; None for SLURM's default.

    Raises:
        MissingExtraError: submitit is not installed.
        UserError: The time limit is not a time, the commands of SLURM are missing, or an option is unknown.
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
            fix = "type the command on a login node, or set launch=local"
            raise UserError(
                "launch=slurm", found=f"no {' '.join(missing)} on this machine", expected="a SLURM cluster", fix=fix
            )
        self.watch, self.poll_seconds, self.seconds_to_save = watch, poll_seconds, seconds_to_save
        self.executor = SlurmExecutor(self.output_dir, max_num_timeout=_MOST_REQUEUES)
        given = {name: value for name, value in options.items() if value is not None}
        if cores := given.get("cpus_per_task"):
            given["srun_args"] = [f"--cpus-per-task={cores}"]  # some versions of srun do not inherit it
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
                **given,
            )
        except ValueError as error:
            expected, fix = "options of sbatch", "see configs/launch/slurm.yaml"
            raise UserError("launch", found=one_line(error), expected=expected, fix=fix) from None
        self._submitted: dict[Path, str] = {}  # run folder: SLURM's job id
        self._in_doubt_since: dict[str, float] = {}
        self._gone: set[Job] = set()  # jobs that SLURM no longer has and that were not done

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Submit all jobs that are not done, and watch them; jobs outlive this call."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self._jobs = jobs
        self._find_submitted()
        while True:
            self._query()
            for job in jobs:
                self._look_after(job)
            each_round()
            self._submit([job for job in jobs if job.state == record.WAITING and job.folder not in self._submitted])
            if not self.watch or not any(job.state in (record.WAITING, record.RUNNING) for job in jobs):
                return
            time.sleep(self.poll_seconds)

    def output_of(self, job: Job) -> Path:
        """Return the file with the output of a run's SLURM job."""
        return self.output_dir / f"{self._submitted.get(job.folder, 'none')}_0_log.out"

    def _find_submitted(self) -> None:
        """Find jobs of an earlier call that SLURM still has."""
        path = self.folder / record.QUEUE
        known = record.read_json(path)["jobs"] if path.is_file() else []
        before = {Path(entry["folder"]): entry["slurm"] for entry in known if entry.get("slurm")}
        self._submitted = dict(before)
        self._query()
        self._submitted = {folder: job_id for folder, job_id in before.items() if self._is_alive(job_id)}

    def _query(self) -> None:
        """Query sacct for all jobs at once."""
        watcher = self.executor.job_class.watcher
        watcher.clear()
        job_ids = list(dict.fromkeys(self._submitted.values()))
        for job_id in job_ids[1:]:
            watcher.get_state(job_id, mode="cache")  # registers the job for the next query
        if job_ids:
            watcher.get_state(job_ids[0], mode="force")

    def _is_alive(self, job_id: str) -> bool:
        """Whether SLURM had a job at the last query."""
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
            self._gone.add(job)  # check once more: files of its node may appear here with a delay
        elif job_id:
            self._gone.discard(job)
            state = record.RUNNING if look(job.folder).is_alive else record.WAITING
        if state != job.state:
            self._set(job, state)

    def _submit(self, jobs: Sequence[Job]) -> None:
        """Submit chains of jobs; chains that wait for the same jobs become an array.

        Raises:
            UserError: ``sbatch`` refuses a job.
        """
        from submitit.core.utils import FailedJobError

        chains = chains_of(jobs)
        while chains:
            waits_for = {
                id(chain): sorted({self._submitted[job.folder] for job in chain[0].after if job.state != record.DONE})
                for chain in chains
                if all(job.state == record.DONE or job.folder in self._submitted for job in chain[0].after)
            }
            parents = next(iter(waits_for.values()))
            equal = [chain for chain in chains if waits_for.get(id(chain)) == parents]
            chains = [chain for chain in chains if chain not in equal]
            self.executor.update_parameters(dependency=f"afterok:{':'.join(parents)}" if parents else None)
            saving = _SAVING_SHARE * self.seconds_to_save
            try:
                with self.executor.batch():
                    handles = [self.executor.submit(Chain([job.command for job in chain], saving)) for chain in equal]
            except FailedJobError as error:  # raised for an error of sbatch
                fix = "correct launch.*, and type the same command again; submitted jobs stay"
                message = " ".join(str(error).split())[-500:]
                raise UserError("launch=slurm", found=message, expected="a job that SLURM accepts", fix=fix) from None
            for chain, handle in zip(equal, handles, strict=True):
                self._submitted |= {job.folder: handle.job_id for job in chain}
                self.notice(chain[0])
            self._write()

    def _describe(self, job: Job) -> dict[str, Any]:
        return super()._describe(job) | {"slurm": self._submitted.get(job.folder)}
