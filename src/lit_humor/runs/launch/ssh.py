"""Trains many runs on a machine that ssh reaches: sends checkout and data, trains, fetches. Standard library only."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lit_humor.core.errors import UserError
from lit_humor.runs import record
from lit_humor.runs.launch.remote import describe_jobs, read_jobs
from lit_humor.runs.queue import Job, Queue
from lit_humor.runs.watch import is_done

_STAYS_HERE = ("/logs", "/.venv", "/.cache", "/data-sent")


class SshQueue(Queue):
    """Runs jobs on another machine, by ``LocalQueue`` there; their folders lie here when it ends, however it ends.

    Args:
        folder: Gets ``queue.json`` and what each run printed.
        notice: Called with a job whenever its state changes.
        root: The checkout.
        logs_dir: Where run folders lie.
        host: As one would type behind ``ssh``; user, port and keys are the business of ssh's configuration.
        place: Folder there for the checkout, made if need be; relative to the home folder.
        slots: Runs at a time there.
        setup: Command that makes ``.venv`` there.

    Raises:
        UserError: No host is named, or ssh or rsync is not installed.
    """

    def __init__(
        self,
        folder: Path,
        notice: Callable[[Job], None],
        *,
        root: Path,
        logs_dir: Path,
        host: str | None,
        place: str,
        slots: int,
        setup: str,
    ) -> None:
        super().__init__(folder, notice, slots)
        missing = [name for name in ("ssh", "rsync") if shutil.which(name) is None]
        if missing:
            raise UserError("launch=ssh", found=f"no {' '.join(missing)} here", expected="both", fix="install it")
        if not host or host.startswith("-"):
            expected, fix = "a name that ssh knows", "set launch.host=<user>@<machine>"
            raise UserError("launch.host", found=str(host), expected=expected, fix=fix)
        self.root, self.logs_dir, self.host, self.place, self.setup = root, logs_dir, host, place, setup

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Send, train, fetch; a job that is done here already is not sent."""
        self._jobs = jobs
        for job in jobs:
            if is_done(job.folder):
                self._set(job, record.DONE)
        left = [job for job in jobs if job.state != record.DONE]
        if not left:
            return
        quoted = shlex.quote(self.place)
        there = self._ssh(f"mkdir -p {quoted} && cd {quoted} && pwd", capture=True).strip()
        excluded = [f"--exclude={name}" for name in _STAYS_HERE]
        self._rsync(["--delete", *excluded, "--filter=:- .gitignore"], f"{self.root}/", f"{self.host}:{there}/")
        self._ssh(f"cd {shlex.quote(there)} && {self.setup}")
        self._send(left, there)
        names = [self.folder.name, *(job.folder.name for job in left)]
        try:
            jobs_file = f"{there}/logs/{self.folder.name}/jobs.json"
            command = (
                f"cd {shlex.quote(there)} && .venv/bin/python -m lit_humor.runs.launch.remote {shlex.quote(jobs_file)}"
            )
            code = subprocess.run(["ssh", *(["-tt"] if sys.stdin.isatty() else []), self.host, command]).returncode
        finally:
            filters = [*(f"--include=/{name}/***" for name in names), "--exclude=*"]
            self._rsync(filters, f"{self.host}:{there}/logs/", f"{self.logs_dir}/")
        states = {
            Path(one["folder"]).name: one["state"] for one in record.read_json(self.folder / record.QUEUE)["jobs"]
        }
        for job in left:
            self._set(job, record.DONE if is_done(job.folder) else states.get(job.folder.name, record.INTERRUPTED))
        if code == 255:
            self._fail("a connection that broke")

    def _send(self, jobs: Sequence[Job], there: str) -> None:
        """Data files that the commands name, and the commands as they are there."""
        sent = {one for job in jobs for one in job.command if _data_file(one)}
        places = {one: f"{there}/data-sent/{_hash(_data_file(one))}" for one in sent}
        for one, place in places.items():
            self._ssh(f"mkdir -p {shlex.quote(place)}")
            self._rsync([], str(_data_file(one)), f"{self.host}:{place}/")
        moved = read_jobs(describe_jobs(jobs))
        for job in moved:
            job.folder = Path(there) / "logs" / job.folder.name
            job.command = [self._there(one, there, places) for one in job.command]
        self.folder.mkdir(parents=True, exist_ok=True)
        record.write_json(self.folder / "jobs.json", {"slots": self.num_slots, "jobs": describe_jobs(moved)})
        self._ssh(f"mkdir -p {shlex.quote(f'{there}/logs')}")
        started = [f"/{job.folder.name}" for job in jobs if job.folder.exists()]  # they go on there
        filters = [f"--include={name}/***" for name in (f"/{self.folder.name}", *started)]
        self._rsync([*filters, "--exclude=*"], f"{self.logs_dir}/", f"{self.host}:{there}/logs/")

    def _there(self, argument: str, there: str, places: dict[str, str]) -> str:
        """An argument as it is on the other machine."""
        if argument in places:
            key = argument.partition("=")[0]
            return f"{key}={places[argument]}/{_data_file(argument).name}"  # type: ignore[union-attr]
        if argument.startswith("paths.cache_dir="):
            return f"paths.cache_dir={there}/.cache"
        if argument == sys.executable:
            return f"{there}/.venv/bin/python"
        moved = {str(self.logs_dir): f"{there}/logs", str(self.root): there}
        folders = "|".join(map(re.escape, moved))
        return re.sub(rf"({folders})(?=[/',\]]|$)", lambda found: moved[found[1]], argument)

    def _ssh(self, command: str, capture: bool = False) -> str:
        done = subprocess.run(["ssh", self.host, command], stdout=subprocess.PIPE if capture else None, text=True)
        if done.returncode:
            self._fail(f"exit code {done.returncode} of {command}")
        return done.stdout or ""

    def _rsync(self, options: Sequence[str], source: str, target: str) -> None:
        if code := subprocess.run(["rsync", "--archive", "--compress", *options, source, target]).returncode:
            self._fail(f"exit code {code} of rsync from {source} to {target}")

    def _fail(self, found: str) -> None:
        fix = "see the lines above, then type the same again; what is done stays"
        raise UserError(f"launch.host={self.host}", found=found, expected="a machine to train on", fix=fix)


def _data_file(argument: str) -> Path | None:
    """The file that a setting of the data names."""
    key, _, value = argument.partition("=")
    is_data = key.startswith("data.") and key.endswith("_path") and Path(value).is_file()
    return Path(value) if is_data else None


def _hash(path: Path | None) -> str:
    return hashlib.sha256(str(path.absolute() if path else "").encode()).hexdigest()[:8]
