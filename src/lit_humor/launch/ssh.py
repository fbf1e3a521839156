"""Trains many runs on another machine by ssh: sends checkout and data, trains, fetches. Standard library only."""

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

_MARKER = ".lit_humor-sent"  # file in a remote folder that has only files which this queue sent
_STAYS_HERE = ("/logs", "/.venv", "/.cache", "/data-sent", f"/{_MARKER}")
_NO_MARKER = 3  # exit code


class SshQueue(Queue):
    """Runs jobs on another machine, by ``LocalQueue`` there; fetches their folders at the end, also after an error.

    Args:
        folder: Folder for ``queue.json`` and for the output of each run.
        notice: Called with a job whenever its state changes.
        root: The checkout.
        logs_dir: Folder of the run folders.
        host: Host as in ``ssh <host>``; user, port and keys can be set in the configuration of ssh.
        place: Remote folder for the checkout, relative to the home folder; created if missing.
        num_slots: Number of runs at a time.
        setup: Command that makes ``.venv`` on the other machine.

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
                found=f"no {' '.join(missing)} on this machine",
                expected="ssh and rsync",
                fix=f"sudo apt install {' '.join(missing)}, or install with the package manager of your system",
            )
        if not host or host.startswith("-"):
            expected, fix = "a host that ssh can reach", "set launch.host=<user>@<machine>"
            raise UserError("launch.host", found=str(host), expected=expected, fix=fix)
        self.root, self.logs_dir, self.host, self.place, self.setup = root, logs_dir, host, place, setup

    def run(self, jobs: Sequence[Job], each_round: Callable[[], None] = lambda: None) -> None:
        """Send, train, fetch; jobs that are already done on this machine are not sent."""
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
        finally:  # also after an interruption, as the trainings have saved
            filters = [*(f"--include=/{name}/***" for name in names), "--exclude=*"]
            self._rsync(filters, f"{self.host}:{there}/logs/", f"{self.logs_dir}/")
        states_file = self.folder / record.STATES
        states = record.read_json(states_file) if states_file.is_file() else {}
        for job in left:
            self._set(job, record.DONE if is_done(job.folder) else states.get(job.folder.name, record.INTERRUPTED))
        if code and not any(job.state == record.FAILED for job in left):
            self._fail("a lost connection" if code == 255 else f"exit code {code} of the remote queue")

    def _make_place(self) -> str:
        """Create the remote folder and return its absolute path; files in it that the checkout lacks will be deleted.

        Raises:
            UserError: The folder has files that this queue did not send, or ssh failed.
        """
        place = shlex.quote(self.place)
        check = f'[ -e {_MARKER} ] || [ -z "$(ls -A)" ] || exit {_NO_MARKER}'
        command = f"mkdir -p {place} && cd {place} && {{ {check}; }} && touch {_MARKER} && pwd"
        done = subprocess.run(["ssh", self.host, command], stdout=subprocess.PIPE, text=True)
        if done.returncode == _NO_MARKER:
            raise UserError(
                f"launch.place={self.place}",
                found="a remote folder with other files",
                expected="a new folder, or one that launch=ssh made",
                fix=f"set {typed('launch.place', self.place.rstrip('/') + '/lit_humor')}",
            )
        if done.returncode:
            self._fail(f"exit code {done.returncode} of {command}")
        return done.stdout.strip()

    def _send(self, jobs: Sequence[Job], there: str) -> None:
        """Send the data files that the commands name, and the commands with remote paths."""
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
        needed = {f"/{sent.folder.name}" for job in jobs for sent in (job, *job.after) if sent.folder.exists()}
        filters = [f"--include={name}/***" for name in (f"/{self.folder.name}", *sorted(needed))]
        self._rsync(["--update", *filters, "--exclude=*"], f"{self.logs_dir}/", f"{self.host}:{there}/logs/")

    def _ssh(self, command: str) -> None:
        if code := subprocess.run(["ssh", self.host, command]).returncode:
            self._fail(f"exit code {code} of {command}")

    def _rsync(self, options: Sequence[str], source: str, target: str) -> None:
        if code := subprocess.run(["rsync", "--archive", "--compress", *options, source, target]).returncode:
            self._fail(f"exit code {code} of rsync from {source} to {target}")

    def _fail(self, found: str) -> None:
        fix = "see the lines above, then type the same command again; finished runs stay"
        raise UserError(f"launch.host={self.host}", found=found, expected="a machine to train on", fix=fix)
