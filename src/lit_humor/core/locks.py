"""Files that one process holds and others can see held."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO


def hold(path: Path) -> TextIO | None:
    """Hold a file until it is closed; the system closes it where the process is killed.

    Returns:
        The open file, or None where another process holds it.
    """
    file = path.open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, no forked loader process inherits it
    except OSError:
        file.close()
        return None
    return file
