"""Records how a training ended (done, interrupted or failed) in the status file of the run."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lit_humor.config.command import INTERRUPTED
from lit_humor.core.errors import InterruptedRun
from lit_humor.core.place import is_main_process
from lit_humor.core.settings import command_line, setting
from lit_humor.runs import record, screen

_PARTING_SECONDS = 5.0


@contextmanager
def told_how_it_ends(run_dir: Path) -> Iterator[None]:
    """Write into status.json how the run ends; after an interruption, show the command that resumes it."""
    try:
        yield
    except (
        InterruptedRun,
        KeyboardInterrupt,
        SystemExit,
    ) as request:  # SystemExit: from Lightning, at the second Ctrl-C
        set_state(run_dir, record.INTERRUPTED)
        is_saved = any((run_dir / record.CHECKPOINTS).glob("*.ckpt"))
        again = command_line("train", setting("resume", str(run_dir)))
        screen.show(f"\nInterrupted. {f'To go on: {again}' if is_saved else 'Nothing is saved yet.'}")
        code = getattr(request, "exit_code", INTERRUPTED)
        sys.exit(code if is_main_process() else 0)  # if a child process fails, Lightning kills the others
    except BaseException:
        if not is_main_process():  # if the first process ended, this one is ended during the sleep, without a message
            time.sleep(_PARTING_SECONDS)
        set_state(run_dir, record.FAILED)
        raise


def set_state(run_dir: Path, state: str) -> None:
    """Write the state of a run into status.json, with the time."""
    status = run_dir / record.STATUS
    if is_main_process() and status.is_file():
        record.write_json(status, record.read_json(status) | {"state": state, "heartbeat": time.time()})
