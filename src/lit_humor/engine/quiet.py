"""Libraries talk about what nobody decides here; their hints are switched off once, at the start of a command."""

from __future__ import annotations

import logging
import warnings


def quiet_libraries() -> None:
    """Silence hints that are about nothing a user of this project decides."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
    warnings.filterwarnings("ignore", module=r"torchmetrics\..*")
