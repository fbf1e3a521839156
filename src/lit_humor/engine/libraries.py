"""Sets up other libraries, once per process: their hints and warnings, and how many CPU kernels they keep."""

from __future__ import annotations

import logging
import os
import warnings

# PyTorch and oneDNN each keep 1,024 kernels with their buffers, some for each width of a batch.
_KEPT_KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}


def set_up_libraries() -> None:
    """Silence what a user of this project cannot act on, and keep few CPU kernels; called once, when a command starts.

    Fewer kernels are less memory: they are made anew for the next batch of that width. Variables of the environment
    that are set already stay.
    """
    for name, number in _KEPT_KERNELS.items():
        os.environ.setdefault(name, number)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", module=r"torchmetrics\..*")
