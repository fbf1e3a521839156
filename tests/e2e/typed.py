"""Runs commands the way a user types them."""

import contextlib
import importlib
import io
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.global_hydra import GlobalHydra

from tests.e2e.copies import ROOT, keep_spares, run_script, spares_for, take_environment, take_streams

ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"}

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.e2e.warm"])


class Typed(subprocess.CompletedProcess[str]):
    """A command that ended; a negative ``returncode`` is minus the signal that killed it.

    Attributes:
        pid: What was its process, and its session.
    """

    pid = 0


class Started:
    """A command that runs, in a copy of a process that has imported everything.

    Args:
        line: What was typed.
        folder: Where.
        environment: Its variables.
        before: Called in the new process first.
    """

    def __init__(
        self, line: Sequence[str], folder: Path, environment: dict[str, str], before: Callable[[], None] | None
    ) -> None:
        self.line = list(line)
        self._outputs = tempfile.TemporaryDirectory()
        self._paths = [os.path.join(self._outputs.name, name) for name in ("out", "err")]
        arguments = (self.line, self._paths, str(folder), environment, before)
        self._process = _SERVER.Process(target=_run_copy, args=arguments)
        self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Its exit code, if it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float) -> None:
        """Wait until it has ended.

        Raises:
            TimeoutExpired: It goes on.
        """
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.line, timeout)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def ended(self, timeout: float = 300) -> Typed:
        """Wait until it has ended.

        Raises:
            AssertionError: It hangs; it is killed then, with all of its session.
        """
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.join()
        told = [Path(path).read_text(errors="replace") if os.path.exists(path) else "" for path in self._paths]
        self._outputs.cleanup()
        if code is None:
            raise AssertionError("\n".join(("it hangs:", *told)))
        done = Typed(self.line, code, *told)
        done.pid = self.pid
        return done


def start(
    command: str, *arguments: str, folder: Path = ROOT, before: Callable[[], None] | None = None, **variables: str
) -> Started:
    """``python src/lit_humor/<command>.py <arguments>`` in a copy of a process that has imported everything.

    Begins in no time where ``typed_alone`` takes ten seconds.

    Args:
        command: Name of the command.
        arguments: What is typed behind it.
        folder: Where it is typed.
        before: Called in the new process first.
        variables: Of its environment.
    """
    return Started([sys.executable, _script(command), *arguments], folder, os.environ | ENVIRONMENT | variables, before)


def typed(
    command: str,
    *arguments: str,
    timeout: float = 300,
    folder: Path = ROOT,
    before: Callable[[], None] | None = None,
) -> Typed:
    """The same to its end.

    Args:
        command: Name of the command.
        arguments: What is typed behind it.
        timeout: Seconds after which it counts as hanging.
        folder: Where it is typed.
        before: Called in the new process first.
    """
    return start(command, *arguments, folder=folder, before=before).ended(timeout)


def _run_copy(
    line: list[str], outputs: list[str], folder: str, environment: dict[str, str], before: Callable[[], None] | None
) -> None:
    """What the copied process does."""
    os.setsid()
    take_environment(folder, environment)
    streams = [os.open(os.devnull, os.O_RDONLY), *(os.open(p, os.O_CREAT | os.O_WRONLY | os.O_APPEND) for p in outputs)]
    take_streams(streams)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a test of loader processes may have started the server
    keep_spares(spares_for(Path(line[1]).stem if line[1] != "-m" else line[2], line))
    if before is not None:
        before()
    run_script(line)


def typed_alone(command: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own, imports included."""
    return subprocess.run(
        [sys.executable, _script(command), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
    )


def typed_here(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same in this process: the least time for a mistake that ends at once."""
    main = importlib.import_module(f"lit_humor.{command}").main
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    GlobalHydra.instance().clear()
    argv = [f"{command}.py", *arguments]
    with (
        mock.patch.object(sys, "argv", argv),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(argv, code, stdout.getvalue(), stderr.getvalue())


def _script(command: str) -> str:
    return str(ROOT / "src" / "lit_humor" / f"{command}.py")


def free_port() -> int:
    """One that is free, and the next, too."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
        other.bind(("127.0.0.1", port + 1))
    return port


def typed_under_torchrun(command: str, *arguments: str, timeout: float = 300) -> Typed:
    """The same in two processes that torchrun starts."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    line = [*torchrun, _script(command), *arguments, "trainer.devices=2"]
    return Started(line, ROOT, os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": "1"}, None).ended(timeout)


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())
