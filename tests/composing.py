"""Hydra reads each file once for all configurations that a process of the tests composes: half of what that takes."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.plugins.config_source import ConfigResult, ConfigSource


def remember_files() -> None:
    """Have the two sources of files hand out copies of what they have read, as long as the file is the same."""
    FileConfigSource.load_config = _remembering(FileConfigSource.load_config)  # type: ignore[method-assign]
    of_packages = ImportlibResourcesConfigSource
    of_packages.load_config = _remembering(of_packages.load_config)  # type: ignore[method-assign]


def _remembering(read: Callable[[Any, str], ConfigResult]) -> Callable[[Any, str], ConfigResult]:
    known: dict[Any, ConfigResult] = {}

    def load_config(source: ConfigSource, config_path: str) -> ConfigResult:
        key = (source.path, source.provider, config_path, _state(source, config_path))
        if key not in known:
            known[key] = read(source, config_path)
        result = copy.copy(known[key])
        result.config, result.header = copy.deepcopy(result.config), dict(result.header)
        return result

    return load_config


def _state(source: ConfigSource, config_path: str) -> tuple[int, int] | None:
    """What changes when a file is written anew."""
    path = Path(source.path, source._normalize_file_name(config_path))
    if not os.path.exists(path):  # in a package
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size
