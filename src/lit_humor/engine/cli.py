"""What all commands share: compose the configuration, and end a user's mistake with one message."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import hydra
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lit_humor.core.errors import UserError
from lit_humor.engine.rundir import ROOT_DIR
from lit_humor.engine.schema import register_schemas
from lit_humor.engine.validate import unknown_key

CONFIG_DIR = ROOT_DIR / "configs"
_INTERRUPTED = 130


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a configuration into a command.

    A ``UserError`` prints its message and exits with 1; its traceback shows only under ``debug=``.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def run() -> None:
            register_schemas()
            show_traceback = any(argument.startswith("debug=") for argument in sys.argv[1:])
            os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of being printed by Hydra
            entry = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
            try:
                entry(function)()
            except (UserError, HydraException, OmegaConfBaseException) as error:
                if show_traceback:
                    traceback.print_exc()
                print(f"Error: {_message(error, config_name)}", file=sys.stderr)
                sys.exit(1)
            except KeyboardInterrupt:
                print("\nInterrupted.", file=sys.stderr)
                sys.exit(_INTERRUPTED)

        return run

    return decorate


def _message(error: Exception, config_name: str) -> str:
    """One message for an error of the configuration; Hydra's own are told in its words where they are good."""
    if isinstance(error, ConfigCompositionException):
        for override in sys.argv[1:]:
            key, found, value = override.partition("=")
            if found and f"'{key}'" in str(error):
                if (
                    error.__cause__ is not None
                    and "not of type" not in str(error.__cause__)
                    and "could not be converted" in str(error.__cause__)
                ):
                    return f"{key}: {str(error.__cause__).splitlines()[0]}"
                return str(unknown_key(key, value, _siblings(key, config_name)))
    if isinstance(error, OmegaConfBaseException):
        return f"{error.full_key}: {str(error).splitlines()[0]}"
    parts = [str(error), *([str(error.__cause__)] if error.__cause__ else [])]
    return "\n".join(parts)


def _siblings(key: str, config_name: str) -> list[str]:
    """Keys that stand where ``key`` was looked for, in the default configuration."""
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        node: Any = hydra.compose(config_name)
    parent = key.lstrip("+~").rpartition(".")[0]
    node = OmegaConf.select(node, parent) if parent else node
    return [str(name) for name in node] if isinstance(node, DictConfig) else []
