"""Trains many runs on rented machines, as managed jobs of SkyPilot; their folders are kept in a bucket."""

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
_LOGS, _DATA = "/lit_humor/logs", "/lit_humor/data"  # on the rented machine; commands start in the checkout


class CloudQueue(Queue):
    """Makes a SkyPilot task of each chain of jobs, submits it as a managed job, and fetches folders from the bucket.

    If a machine is taken away, SkyPilot rents another one; the same commands then find their checkpoints in the mounted
    bucket and resume. If the same plan is submitted again, it finds the jobs that SkyPilot still has.

    Args:
        folder: Folder for ``queue.json`` and for ``tasks/`` with the task files.
        notice: Called with a job whenever its state changes.
        root: The checkout.
        logs_dir: Folder of the run folders on this machine.
        bucket: ``s3://name`` or ``gs://name``; has to exist.
        resources: Resources to rent, with the names of SkyPilot; None leaves the choice to SkyPilot.
        setup: Command that makes ``.venv`` on the rented machine.
        watch: Return when all jobs have ended; otherwise when all jobs that can start are submitted.
        poll_seconds: Time between two checks of the jobs.

    Raises:
        UserError: SkyPilot or the program of the cloud is not installed, or no bucket is named.
    """

    can_search = False  # a trial with a low score cannot be stopped there

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
                raise UserError(
                    "launch=cloud",
                    found=f"no {program} on this machine",
                    expected="SkyPilot, installed and set up",
                    fix=fix,
                )
        self.copy, self.bucket, self.setup = _COPIES[scheme], str(bucket).rstrip("/"), setup
        self.resources = {key: value for key, value in resources.items() if value is not None}
        self.watch, self.poll_seconds, self.logs_dir, self.root = watch, poll_seconds, logs_dir, root
        self.elsewhere = Elsewhere(root, logs_dir, ".", _LOGS, _DATA)
        self._submitted: dict[Path, str] = {}  # run folder: name of SkyPilot's job
        self._gone: set[Job] = set()  # jobs that SkyPilot no longer has and that were not done

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Submit jobs that can start, fetch their folders, and watch them; jobs outlive this call."""
        self._jobs = jobs
        path = self.folder / record.QUEUE
        known = record.read_json(path)["jobs"] if path.is_file() else []
        self._submitted = {Path(entry["folder"]): entry["cloud"] for entry in known if entry.get("cloud")}
        is_first = True
        while True:
            alive = self._alive()  # before the fetch: an ended job has written all its files to the bucket
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
        """Return the task of a chain, as SkyPilot reads it."""
        commands = [job.command for job in chain]
        mounts: dict[str, Any] = {there: str(path) for there, path in self.elsewhere.files(commands).items()}
        return {
            "name": chain[0].folder.name,
            "resources": self.resources,
            "workdir": str(self.root),
            "file_mounts": {**mounts, _LOGS: {"source": self.bucket, "mode": "MOUNT_CACHED"}},
            "setup": self.setup,
            "run": " &&\n".join(shlex.join(self.elsewhere.command(command)) for command in commands),
        }

    def _submit(self, chain: Sequence[Job]) -> None:
        task = self.task_of(chain)
        path = self.folder / "tasks" / f"{task['name']}.yaml"
        record.write_json(path, task)  # JSON is also YAML
        for folder in dict.fromkeys(needed.folder for job in chain for needed in (*job.after, job)):
            if folder.exists() and self._copy(str(folder), f"{self.bucket}/{folder.name}"):
                self._fail(f"a failed copy of {folder} to {self.bucket}")
        if code := subprocess.run(["sky", "jobs", "launch", "--yes", "--detach-run", str(path)]).returncode:
            self._fail(f"exit code {code} of sky jobs launch {path}")
        self._submitted |= {job.folder: task["name"] for job in chain}
        self._write()

    def _alive(self) -> set[str]:
        """Return the names of the jobs that SkyPilot has and that have not ended."""
        if not self._submitted:
            return set()  # nothing was submitted yet
        command = ["sky", "jobs", "queue", "--refresh", "--skip-finished", "--all", "--output", "json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        try:
            return {entry["job_name"] for entry in json.loads(done.stdout)}
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
            self._gone.add(job)  # check once more: it may have ended between the two queries
        elif name:
            state = record.RUNNING if look(job.folder).is_alive else record.WAITING
        if state != job.state:
            self._set(job, state)

    def _fetch(self, folder: Path) -> None:
        """Copy the folder of a run from the bucket; before the run starts it is missing, which is no error."""
        self._copy(f"{self.bucket}/{folder.name}", str(folder))

    def _copy(self, source: str, target: str) -> int:
        return subprocess.run([*self.copy, source, target], stdout=subprocess.DEVNULL).returncode

    def _fail(self, found: str) -> NoReturn:
        fix = "see the lines above, then type the same command again; submitted jobs stay"
        raise UserError("launch=cloud", found=found, expected="a job that SkyPilot accepts", fix=fix)

    def _describe(self, job: Job) -> dict[str, Any]:
        return super()._describe(job) | {"cloud": self._submitted.get(job.folder)}
