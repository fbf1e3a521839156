"""A ``python`` that lends copies of a warm process: one thing runs in a copy, all else in Python itself.

A program of a few lines asks over a socket for a copy that takes its arguments, folder, environment and streams, and
ends as it does. It passes signals on, and if it is killed, so is the copy with all that it started. Plays of other
machines run train.py so.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from tests.e2e.typed import _SERVER, _run_copy

_PROGRAM = """#!{python} -IS
import json, os, signal, socket, sys
words = [one for one in sys.argv[1:] if one != "-u"]
if not words or not words[0].endswith({lent!r}):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        signal.signal(getattr(signal, name), lambda number, frame: line.sendall(bytes([number])))
    line.sendall(json.dumps([words, os.getcwd(), dict(os.environ), os.getpid()]).encode() + b"\\n")
    code = int(line.recv(16) or 1)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextlib.contextmanager
def lending(lent: str, work: Callable[..., None]) -> Iterator[Path]:
    """The program, as long as this goes on.

    Args:
        lent: How the first argument ends where a copy takes over.
        work: What the copy does; takes what ``typed._run_copy`` takes.
    """
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        address, program = f"{folder}/lender", Path(folder, "python")
        server.bind(address)
        server.listen()
        threading.Thread(target=_lend, args=(server, work), daemon=True).start()
        program.write_text(_PROGRAM.format(python=sys.executable, address=address, lent=lent))
        program.chmod(0o755)
        yield program
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def lent_python() -> Iterator[Path]:
    """The program for train.py."""
    with lending("src/lit_humor/train.py", _run_copy) as program:
        yield program


def _lend(server: socket.socket, work: Callable[..., None]) -> None:
    with contextlib.suppress(OSError):  # it was shut down
        while True:
            threading.Thread(target=_answer, args=(server.accept()[0], work), daemon=True).start()


_ONE_AT_A_TIME = threading.Lock()  # each start asks all other processes how they are
_LENT: dict[socket.socket, int] = {}  # lines to programs, and the copies of these


def _answer(line: socket.socket, work: Callable[..., None]) -> None:
    with line:
        told = b""
        while not told.endswith(b"\n"):
            told += line.recv(1 << 16)
        words, folder, environment, asking = json.loads(told)
        outputs = [f"/proc/{asking}/fd/{number}" for number in (1, 2)]
        with _ONE_AT_A_TIME:
            _end_copies_of_the_killed()
            copied = ([sys.executable, *words], outputs, folder, environment, None)
            process = _SERVER.Process(target=work, args=copied)
            process.start()
            _LENT[line] = process.pid or 0
        while process.sentinel not in wait([process.sentinel, line]):
            _pass_on(line.recv(1), _LENT[line])
        with _ONE_AT_A_TIME:
            del _LENT[line]
            code = process.exitcode
        with contextlib.suppress(OSError):  # nobody waits for it any more
            line.sendall(str(code).encode())


def _pass_on(signals: bytes, copy: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if not signals:
            os.killpg(copy, signal.SIGKILL)
            time.sleep(0.01)
        elif signals[0] in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(copy, signals[0])


def _end_copies_of_the_killed() -> None:
    """What begins now may be meant to go on where they were."""
    for line, copy in _LENT.items():
        while line in wait([line], 0) and not line.recv(1, socket.MSG_PEEK) and Path(f"/proc/{copy}").exists():
            _pass_on(b"", copy)


def take_python(program: str) -> None:
    """What this process starts as ``python`` from now on."""
    sys.executable = program
