"""Trains many runs on a machine that ssh reaches: sends checkout and data, trains, fetches. Standard library only."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lit_humor.core.errors import UserError
from lit_humor.core.settings import typed
from lit_humor.launch.elsewhere import Elsewhere
from lit_humor.launch.queue import Job, Queue
from lit_humor.launch.remote import describe_jobs, read_jobs
from lit_humor.runs import record
from lit_humor.runs.watch import is_done

_OURS = ".lit_humor-sent"  # in a folder there that holds nothing but what was sent
_STAYS_HERE = ("/logs", "/.venv", "/.cache", "/data-sent", f"/{_OURS}")
_NOT_OURS = 3


class SshQueue(Queue):
    """Runs jobs on another machine, by ``LocalQueue`` there; their folders lie here when it ends, however it ends.

    Args:
        folder: Gets ``queue.json`` and what each run printed.
        notice: Called with a job whenever its state changes.
        root: The checkout.
        logs_dir: Where run folders lie.
        host: As one would type behind ``ssh``; user, port and keys are the business of ssh's configuration.
        place: Folder there for the checkout, made if need be; relative to the home folder.
        num_slots: Runs at a time there.
        setup: Command that makes ``.venv`` there.

    Raises:
        UserError: No host is named, or ssh or rsync is not installed.
    """

    can_search = False  # the jobs are sent before they start

    def __init__(
        self,
        folder: Path,
        notice: Callable[[Job], None],
        *,
        root: Path,
        logs_dir: Path,
        host: str | None,
        place: str,
        num_slots: int,
        setup: str,
    ) -> None:
        super().__init__(folder, notice, num_slots)
        missing = [name for name in ("ssh", "rsync") if shutil.which(name) is None]
        if missing:
            raise UserError(
                "launch=ssh",
                found=f"no {' '.join(missing)} here",
                expected="both",
                fix=f"sudo apt install {' '.join(missing)}, or as your system installs programs",
            )
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
        there = self._make_place()
        excluded = [f"--exclude={name}" for name in _STAYS_HERE]
        self._rsync(["--delete", *excluded, "--filter=:- .gitignore"], f"{self.root}/", f"{self.host}:{there}/")
        self._ssh(f"cd {shlex.quote(there)} && {self.setup}")
        self._send(left, there)
        names = [self.folder.name, *(job.folder.name for job in left)]
        try:
            jobs_file = f"{there}/logs/{self.folder.name}/jobs.json"
            command = f"cd {shlex.quote(there)} && .venv/bin/python -m lit_humor.launch.remote {shlex.quote(jobs_file)}"
            code = subprocess.run(["ssh", *(["-tt"] if sys.stdin.isatty() else []), self.host, command]).returncode
        finally:  # also what an interrupted training saved
            filters = [*(f"--include=/{name}/***" for name in names), "--exclude=*"]
            self._rsync(filters, f"{self.host}:{there}/logs/", f"{self.logs_dir}/")
        told = self.folder / record.STATES
        states = record.read_json(told) if told.is_file() else {}
        for job in left:
            self._set(job, record.DONE if is_done(job.folder) else states.get(job.folder.name, record.INTERRUPTED))
        if code and not any(job.state == record.FAILED for job in left):
            self._fail("a connection that broke" if code == 255 else f"exit code {code} of the queue there")

    def _make_place(self) -> str:
        """The folder there, as an absolute path; what is in it and not in the checkout will be deleted."""
        place = shlex.quote(self.place)
        is_ours = f'[ -e {_OURS} ] || [ -z "$(ls -A)" ] || exit {_NOT_OURS}'
        command = f"mkdir -p {place} && cd {place} && {{ {is_ours}; }} && touch {_OURS} && pwd"
        done = subprocess.run(["ssh", self.host, command], stdout=subprocess.PIPE, text=True)
        if done.returncode == _NOT_OURS:
            raise UserError(
                f"launch.place={self.place}",
                found="a folder there that holds other things",
                expected="a new one, or one that launch=ssh made",
                fix=f"set {typed('launch.place', self.place.rstrip('/') + '/lit_humor')}",
            )
        if done.returncode:
            self._fail(f"exit code {done.returncode} of {command}")
        return done.stdout.strip()

    def _send(self, jobs: Sequence[Job], there: str) -> None:
        """Data files that the commands name, and the commands as they are there."""
        elsewhere = Elsewhere(self.root, self.logs_dir, there, f"{there}/logs", f"{there}/data-sent")
        for place, path in elsewhere.files([job.command for job in jobs]).items():
            folder = place.rpartition("/")[0]
            self._ssh(f"mkdir -p {shlex.quote(folder)}")
            self._rsync(["--copy-links"], str(path), f"{self.host}:{folder}/")
        moved = read_jobs(describe_jobs(jobs))
        for job in moved:
            job.folder = Path(there) / "logs" / job.folder.name
            job.command = elsewhere.command(job.command)
        self.folder.mkdir(parents=True, exist_ok=True)
        record.write_json(self.folder / record.STATES, {})
        record.write_json(self.folder / "jobs.json", {"slots": self.num_slots, "jobs": describe_jobs(moved)})
        self._ssh(f"mkdir -p {shlex.quote(f'{there}/logs')}")
        needed = {f"/{one.folder.name}" for job in jobs for one in (job, *job.after) if one.folder.exists()}
        filters = [f"--include={name}/***" for name in (f"/{self.folder.name}", *sorted(needed))]
        self._rsync(["--update", *filters, "--exclude=*"], f"{self.logs_dir}/", f"{self.host}:{there}/logs/")

    def _ssh(self, command: str) -> None:
        if code := subprocess.run(["ssh", self.host, command]).returncode:
            self._fail(f"exit code {code} of {command}")

    def _rsync(self, options: Sequence[str], source: str, target: str) -> None:
        if code := subprocess.run(["rsync", "--archive", "--compress", *options, source, target]).returncode:
            self._fail(f"exit code {code} of rsync from {source} to {target}")

    def _fail(self, found: str) -> None:
        fix = "see the lines above, then type the same again; what is done stays"
        raise UserError(f"launch.host={self.host}", found=found, expected="a machine to train on", fix=fix)
