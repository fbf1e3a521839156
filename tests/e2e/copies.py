"""Copies of a process that has imported everything, in the place of new processes of Python.

Python takes ten seconds to import torch and lightning; a copy that runs the same script takes none. What it starts in
turn has to begin as a new process does, too: so each copy keeps spare ones, made before it begins its own work, which
wait to be told what to run. ``subprocess.Popen`` in it takes them for scripts and modules of ours, and
``multiprocessing`` for the server of loader processes.
"""

import atexit
import fcntl
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_SPARES: list[tuple[int, socket.socket]] = []  # process, and the line to it
_STREAMS = (0, 1, 2)
_FREE = 200  # numbers from here on are of no open file


def spares_for(command: str, arguments: Sequence[str]) -> int:
    """How many processes a command starts, at most."""
    if command in ("sweep", "bench"):
        return 16
    devices = [one.partition("=")[2] for one in arguments if one.startswith("trainer.devices=")]
    others = int(devices[-1]) - 1 if devices and devices[-1].isdigit() else 0
    return others + (command == "torch.distributed.run") + _servers(arguments)


def _servers(arguments: Sequence[str]) -> int:
    """How many servers of loader processes one training starts."""
    workers = [one.partition("=")[2] for one in arguments if one.startswith("trainer.num_workers=")]
    return int(workers[-1:] not in ([], ["0"]))


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
        util.spawnv_passfds = _start_server


def run_script(line: Sequence[str]) -> None:
    """``python <script> <arguments>``, ``python -m <module> <arguments>``, or ``python -c <code>``, in this process."""
    name, *arguments = line[1:]
    sys.orig_argv = list(line)
    if name == "-c":
        sys.argv = ["-c", *arguments[1:]]
        exec(arguments[0], {"__name__": "__main__"})
    elif name == "-m":
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
    told, files, _, _ = socket.recv_fds(line, 1 << 16, 16)
    if not told:
        os._exit(0)
    while more := line.recv(1 << 16):
        told += more
    line.close()
    script, folder, environment, is_session, first, mask, numbers = pickle.loads(told)
    files = [_moved(file) for file in files]
    take_streams(files[: len(_STREAMS)])
    for number, file in zip(numbers, files[len(_STREAMS) :], strict=True):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    if is_session:
        os.setsid()
    take_environment(folder, environment)
    keep_spares(_servers(script))
    if first is not None:
        first()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os._exit(_code_of(script))


def _moved(file: int) -> int:
    """An open file under a number that nothing else has."""
    moved = fcntl.fcntl(file, fcntl.F_DUPFD, _FREE)
    os.close(file)
    return moved


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


def _hand_over(
    script: list[str],
    folder: str | None,
    environment: dict[str, str],
    is_session: bool,
    first: Any,
    streams: Sequence[int],
    passed: Sequence[int] = (),
) -> int:
    """Have a spare process run a script; returns its number. It blocks the signals that this one blocks."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    work = pickle.dumps((script, folder, environment, is_session, first, mask, passed))
    copy, line = _SPARES.pop(0)
    with line:
        socket.send_fds(line, [work[:1024]], [*streams, *passed])
        line.sendall(work[1024:])
    return copy


_start_new = util.spawnv_passfds


def _start_server(path: str, arguments: Sequence[Any], passed: Sequence[int]) -> int:
    """In the place of what ``multiprocessing`` starts Python with: a spare process becomes the server of copies."""
    code = arguments[-1]
    if not (_SPARES and isinstance(code, str) and code.startswith("from multiprocessing.forkserver import main")):
        return _start_new(path, arguments, passed)
    return _hand_over([str(path), "-c", code], None, dict(os.environ), False, None, _STREAMS, tuple(passed))


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
        given = (told["p2cread"], told["c2pwrite"], told["errwrite"])
        streams = [number if stream == -1 else stream for number, stream in zip(_STREAMS, given, strict=True)]
        self.pid = _hand_over(script, folder, environment, told["start_new_session"], told["preexec_fn"], streams)
        self._child_created = True
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
