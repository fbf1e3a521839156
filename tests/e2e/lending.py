"""A ``python`` for plays of other machines: train.py runs in a copy of a warm process, all else in Python itself.

A program of a few lines asks over a socket for a copy that takes its arguments, folder, environment and outputs, and
ends with its exit code. It passes no signals on.
"""

import contextlib
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from tests.e2e.typed import _SERVER, _run_copy

_PROGRAM = """#!{python} -IS
import json, os, socket, sys
words = [one for one in sys.argv[1:] if one != "-u"]
if not words or not words[0].endswith("src/lit_humor/train.py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    line.sendall(json.dumps([words, os.getcwd(), dict(os.environ), os.getpid()]).encode())
    line.shutdown(socket.SHUT_WR)
    sys.exit(int(line.recv(16) or 1))
"""


@pytest.fixture
def lent_python() -> Iterator[Path]:
    """The program, as long as this goes on."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        address, program = f"{folder}/lender", Path(folder, "python")
        server.bind(address)
        server.listen()
        threading.Thread(target=_lend, args=(server,), daemon=True).start()
        program.write_text(_PROGRAM.format(python=sys.executable, address=address))
        program.chmod(0o755)
        yield program
        server.shutdown(socket.SHUT_RDWR)


def _lend(server: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was shut down
        while True:
            threading.Thread(target=_answer, args=(server.accept()[0],), daemon=True).start()


_ONE_AT_A_TIME = threading.Lock()  # each start asks all other processes how they are


def _answer(line: socket.socket) -> None:
    with line:
        told = b""
        while more := line.recv(1 << 16):
            told += more
        words, folder, environment, asking = json.loads(told)
        outputs = [f"/proc/{asking}/fd/{number}" for number in (1, 2)]
        with _ONE_AT_A_TIME:
            copied = ([sys.executable, *words], outputs, folder, environment, None)
            process = _SERVER.Process(target=_run_copy, args=copied)
            process.start()
        wait([process.sentinel])
        with _ONE_AT_A_TIME:
            code = process.exitcode
        line.sendall(str(code).encode())
