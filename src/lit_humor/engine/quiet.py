"""Switches off hints and warnings of libraries that a user of this project cannot act on."""

from __future__ import annotations

import logging
import warnings


def quiet_libraries() -> None:
    """Silence them; called once, when a command starts."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", module=r"torchmetrics\..*")
