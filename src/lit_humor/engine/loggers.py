"""Opens the loggers of a training before its first step, and logs the final scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from lit_humor.core.errors import MissingExtraError, UserError, one_line

# Loggers that need a package (also the name of the extra), with the setting that works without their service.
TRACKERS = {
    "wandb": "set logger.wandb.offline=true",
    "mlflow": "leave logger.mlflow.tracking_uri away",
}


def check_trackers(nodes: Mapping[str, Any]) -> None:
    """Check that the packages of the trackers are installed.

    Raises:
        MissingExtraError: The package is not installed.
    """
    for name in TRACKERS:
        if nodes.get(name) is not None and find_spec(name) is None:
            raise MissingExtraError(f"logger={name}", package=name, extra=name)


def open_loggers(nodes: Mapping[str, Any], build: Callable[[Any], Logger]) -> dict[str, Logger]:
    """Build the loggers and connect to every tracker now, so that an error does not come in the middle of a training.

    Raises:
        UserError: A tracker does not accept the run.
    """
    loggers = {}
    for name, node in nodes.items():
        if node is None:
            continue
        try:
            loggers[name] = build(node)
            _ = loggers[name].experiment if name in TRACKERS else None  # type: ignore[attr-defined]
        except Exception as error:  # each service has its own types of errors
            if name not in TRACKERS:
                raise
            raise UserError(
                f"logger.{name}",
                found=f"no service that takes this run ({one_line(error.__cause__ or error)})",
                expected="an account and a network, or a store on this disk",
                fix=f"{TRACKERS[name]}, or leave logger away",
            ) from error
    return loggers


def log_final_scores(
    trainer: pl.Trainer, settings: dict[str, Any], results: Mapping[str, Any], names: Iterable[str]
) -> None:
    """Log the configuration with the final scores, for trackers that compare runs."""
    scores = {f"final/{split}/{name}": measured[name] for split, measured in results.items() for name in names}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(settings, scores)
        elif not isinstance(logger, CSVLogger):
            logger.log_hyperparams(settings)
            logger.log_metrics(scores)
        logger.finalize("success")
