"""The checkout that this process runs in, and its role among several processes. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

ROOT_DIR = Path(__file__).resolve().parents[3]


def is_main_process() -> bool:
    """Whether this is the process that the user started, not a further process of DDP."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "RANK", "NODE_RANK"))


def process_rank(num_devices: int) -> int:
    """The number of this process among all that train one run.

    Args:
        num_devices: Processes of a machine.
    """
    node, local = (int(os.environ.get(name, "0")) for name in ("NODE_RANK", "LOCAL_RANK"))
    return int(os.environ.get("RANK") or node * num_devices + local)
