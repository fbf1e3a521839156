"""What a copy of a warm process does as a worker of pytest-xdist."""

import atexit
import os
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker

from tests.e2e.copies import take_environment, take_streams


def work(line: Sequence[str], streams: Sequence[str], folder: str, environment: dict[str, str], before: None) -> None:
    """Run ``python -c <program>``; takes what ``typed._run_copy`` takes."""
    os.setsid()  # a Ctrl-C reaches it through the program that it is lent to
    asking = os.path.dirname(streams[0])
    taken = [os.open(f"{asking}/0", os.O_RDONLY), *(os.open(path, os.O_WRONLY) for path in streams)]
    take_environment(folder, environment)
    take_streams(taken)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for stream in taken:
        os.close(stream)
    _share_the_server()
    sys.argv = ["-c"]
    try:
        exec(line[-1], {"__name__": "__main__"})
    finally:
        atexit._run_exitfuncs()


def _share_the_server() -> None:
    """Copies that this process asks for come from where it comes from itself; Python would start another server.

    What tests leave behind is cleared away by a helper of its own, as of any worker.
    """
    resource_tracker._resource_tracker._fd = None  # type: ignore[attr-defined]
    forkserver.ensure_running = resource_tracker.ensure_running
    forkserver._forkserver.ensure_running = resource_tracker.ensure_running  # type: ignore[attr-defined]
