"""File locks between processes."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO


def hold(path: Path) -> TextIO | None:
    """Lock a file until it is closed; the system closes it when the process ends.

    Returns:
        The open file, or None if another process has locked it.
    """
    file = path.open("w")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock, forked loader processes do not inherit it
    except OSError:
        file.close()
        return None
    return file
