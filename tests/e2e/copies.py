"""Copies of a process that has imported everything, in the place of new processes of Python.

Python takes ten seconds to import torch and lightning; a copy that runs the same script takes none. What it starts in
turn has to begin as a new process does, too: so each copy keeps spare ones, made before it begins its own work, which
wait to be told what to run. ``subprocess.Popen`` in it takes them for scripts and modules of ours.
"""

import atexit
import os
import pickle
import runpy
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_SPARES: list[tuple[int, socket.socket]] = []  # process, and the line to it
_STREAMS = (0, 1, 2)


def spares_for(command: str, arguments: Sequence[str]) -> int:
    """How many processes a command starts, at most."""
    if command in ("sweep", "bench"):
        return 16
    devices = [one.partition("=")[2] for one in arguments if one.startswith("trainer.devices=")]
    others = int(devices[-1]) - 1 if devices and devices[-1].isdigit() else 0
    return others + (command == "torch.distributed.run")


def keep_spares(count: int) -> None:
    """Copy this process so often, while it is as new, for what it starts later."""
    for _ in range(count):
        here, there = socket.socketpair()
        copy = os.fork()
        if copy == 0:
            for _, line in [*_SPARES, (0, here)]:
                line.close()
            _SPARES.clear()
            _wait_for_work(there)
        there.close()
        _SPARES.append((copy, here))
    if count:
        from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

        subprocess.Popen = subprocess_handler.Popen = _Popen  # type: ignore[misc]


def run_script(line: Sequence[str]) -> None:
    """``python <script> <arguments>``, or ``python -m <module> <arguments>``, in this process."""
    name, *arguments = line[1:]
    sys.orig_argv = list(line)
    if name == "-m":
        sys.argv = arguments
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [name, *arguments]
        runpy.run_path(name, run_name="__main__")


def take_streams(streams: Sequence[int]) -> None:
    """Read and write these in the place of the standard streams."""
    for number, stream in zip(_STREAMS, streams, strict=True):
        os.dup2(stream, number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115


def take_environment(folder: str | None, environment: dict[str, str]) -> None:
    """Go on in a folder, with these variables."""
    if folder is not None:
        os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # may be another now


def _wait_for_work(line: socket.socket) -> None:
    """What a spare process does: it runs what it is told, or ends with the process that it was made for."""
    told, streams, _, _ = socket.recv_fds(line, 1 << 16, len(_STREAMS))
    if not told:
        os._exit(0)
    while more := line.recv(1 << 16):
        told += more
    line.close()
    take_streams(streams)
    for stream in streams:
        os.close(stream)
    script, folder, environment, is_session, first = pickle.loads(told)
    if is_session:
        os.setsid()
    take_environment(folder, environment)
    if first is not None:
        first()
    os._exit(_code_of(script))


def _code_of(script: Sequence[str]) -> int:
    """Run a script to its end, as Python would; its exit code."""
    code = 0
    try:
        run_script(script)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


class _Popen(subprocess.Popen):  # type: ignore[type-arg]
    """Has a spare process run what would take a new one ten seconds to import."""

    def _execute_child(self, *values: Any) -> None:
        names = ("args", "executable", "preexec_fn", "close_fds", "pass_fds", "cwd", "env", "startupinfo")
        names += ("creationflags", "shell", "p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        names += ("restore_signals", "gid", "gids", "uid", "umask", "start_new_session", "process_group")
        told = dict(zip(names, values, strict=True))
        script = _script_in(told["args"])
        if script is None or not _SPARES:
            super()._execute_child(*values)  # type: ignore[misc]
            return
        environment = dict(os.environ if told["env"] is None else told["env"])
        folder = None if told["cwd"] is None else os.fspath(told["cwd"])
        work = pickle.dumps((script, folder, environment, told["start_new_session"], told["preexec_fn"]))
        given = (told["p2cread"], told["c2pwrite"], told["errwrite"])
        streams = [number if stream == -1 else stream for number, stream in zip(_STREAMS, given, strict=True)]
        self.pid, line = _SPARES.pop(0)
        self._child_created = True
        with line:
            socket.send_fds(line, [work[:1024]], streams)
            line.sendall(work[1024:])
        ends = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(told[name] for name in ends))  # type: ignore[attr-defined]


def _script_in(command: Any) -> list[str] | None:
    """The command without options of Python, if it is one of Python that runs a script or a module of ours."""
    if not isinstance(command, (list, tuple)) or command[0] != sys.executable:
        return None
    words = [os.fspath(one) for one in command if one != "-u"]
    is_module = words[1] == "-m" and words[2].startswith("lit_humor.")
    is_script = words[1].endswith(".py") and os.path.abspath(words[1]).startswith(f"{ROOT}/")
    return words if is_module or is_script else None
