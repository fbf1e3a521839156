"""Types of the configuration of each command, which Hydra checks first.

One file for each command, with a dataclass ``<Command>Config``; Hydra gets it as ``<command>_schema``.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from lit_humor.core.place import ROOT_DIR


def _schema(command: str) -> type[Any]:
    return getattr(importlib.import_module(f"{__name__}.{command}"), f"{command.capitalize()}Config")


SCHEMAS = {module.name: _schema(module.name) for module in pkgutil.iter_modules(__path__)}  # by name of the command


@functools.cache
def register_schemas() -> None:
    """Register the types and the reference ``${root_dir:}`` with Hydra and OmegaConf."""
    OmegaConf.register_new_resolver("root_dir", lambda: str(ROOT_DIR), replace=True)
    for name, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=schema)
