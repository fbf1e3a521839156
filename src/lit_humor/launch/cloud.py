"""Trains many runs on rented machines, through SkyPilot's managed jobs; their folders live in a bucket."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lit_humor.core.errors import UserError
from lit_humor.launch.chains import chains_of
from lit_humor.launch.elsewhere import Elsewhere
from lit_humor.launch.queue import Job, Queue
from lit_humor.runs import record
from lit_humor.runs.watch import is_done, look

_COPIES = {"s3": ("aws", "s3", "sync"), "gs": ("gcloud", "storage", "rsync", "--recursive")}
_LOGS, _DATA = "/lit_humor/logs", "/lit_humor/data"  # there; commands start in the folder of the checkout


class CloudQueue(Queue):
    """Makes a SkyPilot task of each chain of jobs, submits it as a managed job, and fetches folders from the bucket.

    Where a machine is taken away SkyPilot rents another; there the same commands find their checkpoints in the bucket,
    which is mounted, and go on. The same plan submitted again finds the jobs that SkyPilot still has.

    Args:
        folder: Gets ``queue.json``, and ``tasks/`` with the task files.
        notice: Called with a job whenever its state changes.
        root: The checkout.
        logs_dir: Where run folders lie here.
        bucket: ``s3://name`` or ``gs://name``, there already.
        resources: What SkyPilot rents, by its own names; None leaves it to SkyPilot.
        setup: Command that makes ``.venv`` there.
        watch: Stay until all is done; otherwise return when what can start is submitted.
        poll_seconds: Time between two looks.

    Raises:
        UserError: SkyPilot or the cloud's own program is not installed, or there is no bucket.
    """

    can_search = False  # a trial that falls behind cannot be stopped there

    def __init__(
        self,
        folder: Path,
        notice: Callable[[Job], None],
        *,
        root: Path,
        logs_dir: Path,
        bucket: str | None,
        resources: Mapping[str, Any],
        setup: str,
        watch: bool,
        poll_seconds: float,
    ) -> None:
        super().__init__(folder, notice, num_slots=0)
        scheme, _, name = (bucket or "").partition("://")
        if scheme not in _COPIES or not name:
            expected = "s3://<name> or gs://<name>"
            raise UserError(
                "launch.bucket",
                found=str(bucket),
                expected=expected,
                fix="set launch.bucket=s3://<name>, or gs://<name>",
            )
        for program in ("sky", _COPIES[scheme][0]):
            if shutil.which(program) is None:
                fix = 'uv tool install "skypilot[aws]==0.14.1" (or [gcp], ...) and sky check'
                raise UserError("launch=cloud", found=f"no {program} here", expected="SkyPilot, set up", fix=fix)
        self.copy, self.bucket, self.setup = _COPIES[scheme], str(bucket).rstrip("/"), setup
        self.resources = {key: value for key, value in resources.items() if value is not None}
        self.watch, self.poll_seconds, self.logs_dir, self.root = watch, poll_seconds, logs_dir, root
        self.elsewhere = Elsewhere(root, logs_dir, ".", _LOGS, _DATA)
        self._submitted: dict[Path, str] = {}  # run folder: SkyPilot's job
        self._gone: set[Job] = set()  # not done when SkyPilot no longer had them

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Submit what can start, fetch, and watch; jobs stay with SkyPilot however this call ends."""
        self._jobs = jobs
        path = self.folder / record.QUEUE
        told = record.read_json(path)["jobs"] if path.is_file() else []
        self._submitted = {Path(one["folder"]): one["cloud"] for one in told if one.get("cloud")}
        is_first = True
        while True:
            alive = self._alive()  # before the fetch: a job that is over has written everything into the bucket
            for job in jobs:
                if job.folder in self._submitted and job.state != record.DONE:
                    self._fetch(job.folder)
            if is_first:
                self._submitted = {folder: name for folder, name in self._submitted.items() if name in alive}
            is_first = False
            for job in jobs:
                self._look_after(job, alive)
            each_round()
            for chain in chains_of([job for job in jobs if job.state == record.WAITING]):
                is_new = chain[0].folder not in self._submitted
                if is_new and all(parent.state == record.DONE for parent in chain[0].after):
                    self._submit(chain)
            if not self.watch or not any(job.state in (record.WAITING, record.RUNNING) for job in jobs):
                return
            time.sleep(self.poll_seconds)

    def task_of(self, chain: Sequence[Job]) -> dict[str, Any]:
        """What SkyPilot is told of a chain."""
        commands = [job.command for job in chain]
        mounts: dict[str, Any] = {there: str(path) for there, path in self.elsewhere.files(commands).items()}
        return {
            "name": chain[0].folder.name,
            "resources": self.resources,
            "workdir": str(self.root),
            "file_mounts": {**mounts, _LOGS: {"source": self.bucket, "mode": "MOUNT_CACHED"}},
            "setup": self.setup,
            "run": " &&\n".join(shlex.join(self.elsewhere.command(one)) for one in commands),
        }

    def _submit(self, chain: Sequence[Job]) -> None:
        task = self.task_of(chain)
        path = self.folder / "tasks" / f"{task['name']}.yaml"
        record.write_json(path, task)  # which is YAML, too
        for folder in dict.fromkeys(one.folder for job in chain for one in (*job.after, job)):
            if folder.exists() and self._copy(str(folder), f"{self.bucket}/{folder.name}"):
                self._fail(f"a copy of {folder} into {self.bucket} that failed")
        if code := subprocess.run(["sky", "jobs", "launch", "--yes", "--detach-run", str(path)]).returncode:
            self._fail(f"exit code {code} of sky jobs launch {path}")
        self._submitted |= {job.folder: task["name"] for job in chain}
        self._write()

    def _alive(self) -> set[str]:
        """Names of the jobs that SkyPilot has and has not ended."""
        if not self._submitted:
            return set()  # before the first job SkyPilot has nothing to ask
        command = ["sky", "jobs", "queue", "--refresh", "--skip-finished", "--all", "--output", "json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        try:
            return {one["job_name"] for one in json.loads(done.stdout)}
        except (ValueError, KeyError, TypeError):
            self._fail(f"exit code {done.returncode} of {shlex.join(command)}")

    def _look_after(self, job: Job, alive: set[str]) -> None:
        name = self._submitted.get(job.folder)
        is_over, state = name not in alive, job.state
        if state not in (record.WAITING, record.RUNNING):
            return
        if is_over and is_done(job.folder):
            state = record.DONE
        elif any(parent.state in (record.FAILED, record.SKIPPED) for parent in job.after):
            state = record.SKIPPED
        elif name and is_over:
            state = record.FAILED if job in self._gone else state
            self._gone.add(job)  # once more: it may have ended between two questions
        elif name:
            state = record.RUNNING if look(job.folder).is_alive else record.WAITING
        if state != job.state:
            self._set(job, state)

    def _fetch(self, folder: Path) -> None:
        """What the bucket has of a run; a run that has not begun has nothing there, which some clouds call an error."""
        self._copy(f"{self.bucket}/{folder.name}", str(folder))

    def _copy(self, source: str, target: str) -> int:
        return subprocess.run([*self.copy, source, target], stdout=subprocess.DEVNULL).returncode

    def _fail(self, found: str) -> NoReturn:
        fix = "see the lines above, then type the same again; what is submitted stays"
        raise UserError("launch=cloud", found=found, expected="a job that SkyPilot takes", fix=fix)

    def _describe(self, job: Job) -> dict[str, Any]:
        return super()._describe(job) | {"cloud": self._submitted.get(job.folder)}
