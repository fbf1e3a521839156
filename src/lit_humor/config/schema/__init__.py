"""Types of the configuration of each command: what Hydra checks before anything of ours runs.

A file a command, with a dataclass ``<Command>Config``; a new file is a new schema, which Hydra knows as
``<command>_schema``.
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


SCHEMAS = {one.name: _schema(one.name) for one in pkgutil.iter_modules(__path__)}  # by the name of the command


@functools.cache
def register_schemas() -> None:
    """Make the types, and ``${root_dir:}``, known to Hydra."""
    OmegaConf.register_new_resolver("root_dir", lambda: str(ROOT_DIR), replace=True)
    for name, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{name}_schema", node=schema)
