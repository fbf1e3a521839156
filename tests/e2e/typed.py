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
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.global_hydra import GlobalHydra

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "COLUMNS": "200"}

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        *(f"lit_humor.{name}" for name in ("engine.training", "train", "eval", "audit", "auditing.audit")),
        *("matplotlib.backends.backend_agg", "sklearn.metrics", "torch.utils.tensorboard", "tests.torture.child"),
    ]
)


class Typed(subprocess.CompletedProcess[str]):
    """A command that ended; a negative ``returncode`` is minus the signal that killed it.

    Attributes:
        pid: What was its process, and its session.
    """

    pid = 0


def typed(
    command: str,
    *arguments: str,
    timeout: float = 300,
    folder: Path = ROOT,
    before: Callable[[], None] | None = None,
) -> Typed:
    """``python src/lit_humor/<command>.py <arguments>`` in a copy of a process that has imported everything.

    Takes a second where ``typed_alone`` takes ten.

    Args:
        command: Name of the command.
        arguments: What is typed behind it.
        timeout: Seconds after which it counts as hanging.
        folder: Where it is typed.
        before: Called in the new process first.
    """
    argv = [_script(command), *arguments]
    with tempfile.TemporaryDirectory() as outputs:
        paths = [os.path.join(outputs, name) for name in ("out", "err")]
        environment = os.environ | ENVIRONMENT
        process = _SERVER.Process(target=_run_copy, args=(command, argv, paths, str(folder), environment, before))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
        told = [Path(path).read_text(errors="replace") for path in paths]
    if process.exitcode is None:
        raise AssertionError("\n".join(("it hangs:", *told)))
    done = Typed(argv, process.exitcode, *told)
    done.pid = process.pid or 0
    return done


def _run_copy(
    command: str,
    argv: list[str],
    outputs: list[str],
    folder: str,
    environment: dict[str, str],
    before: Callable[[], None] | None,
) -> None:
    """What the copied process does."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    sys.argv = argv
    tempfile.tempdir = None  # may be another now
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a test of loader processes may have started the server
    if before is not None:
        before()
    importlib.import_module(f"lit_humor.{command}").main()


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


def typed_under_torchrun(command: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """The same in two processes that torchrun starts."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    return subprocess.run(
        [*torchrun, _script(command), *arguments, "trainer.devices=2"],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        env=os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
    )


def result_of(folder: Path) -> Any:
    return json.loads((folder / "result.json").read_text())
