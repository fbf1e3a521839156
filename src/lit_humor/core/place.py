"""Where this process is: in which checkout, and which of several processes it is. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

ROOT_DIR = Path(__file__).resolve().parents[3]


def is_main_process() -> bool:
    """Whether this is the process a user started, not one that DDP started beside it."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "RANK", "NODE_RANK"))
