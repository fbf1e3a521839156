"""How a training ends: done, asked to stop, or failed; told to whoever watches the folder."""

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
    """Write into status.json how the run ends; after a request to stop say how to go on."""
    try:
        yield
    except (
        InterruptedRun,
        KeyboardInterrupt,
        SystemExit,
    ) as asked:  # the last: of Lightning, on the second
        set_state(run_dir, record.INTERRUPTED)
        is_saved = any((run_dir / record.CHECKPOINTS).glob("*.ckpt"))
        again = command_line("train", setting("resume", str(run_dir)))
        screen.show(f"\nInterrupted. {f'To go on: {again}' if is_saved else 'Nothing is saved yet.'}")
        code = getattr(asked, "exit_code", INTERRUPTED)
        sys.exit(code if is_main_process() else 0)  # a child that fails would have Lightning kill the others
    except BaseException:
        if not is_main_process():  # perhaps only because the first process left; then this one ends with it, silently
            time.sleep(_PARTING_SECONDS)
        set_state(run_dir, record.FAILED)
        raise


def set_state(run_dir: Path, state: str) -> None:
    """Write how a run stands, with the time."""
    status = run_dir / record.STATUS
    if is_main_process() and status.is_file():
        record.write_json(status, record.read_json(status) | {"state": state, "heartbeat": time.time()})
