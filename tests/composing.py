"""Hydra does once what is the same for all configurations that a process of the tests composes.

It reads each file once, puts each choice of groups together once, and parses each interpolation once; what is typed
beyond that is applied to a copy. What a copy of a node needs, and nothing more, is copied.
Processes that tests start as a user does (``typed_alone``) know nothing of this.
"""

import copy
import functools
import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra._internal.defaults_list import DefaultsList
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, _utils, base


def remember_files() -> None:
    """Have Hydra hand out copies of what it has read and put together, as long as all files are the same."""
    Plugins.instance()  # it imports the modules of the sources anew: other classes than those imported by name
    for scheme in ("file", "pkg"):
        kind = SourcesRegistry.instance().resolve(scheme)
        kind.load_config = _remembering(kind.load_config)  # type: ignore[method-assign]
    config_loader_impl.create_defaults_list = _listing_once(config_loader_impl.create_defaults_list)
    ConfigLoaderImpl._compose_config_from_defaults_list = _composing_once(  # type: ignore[method-assign]
        ConfigLoaderImpl._compose_config_from_defaults_list
    )
    ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]  # it hands out copies itself
    base.Metadata.__deepcopy__ = _copied  # type: ignore[attr-defined]
    base.parse = _utils.parse = functools.lru_cache(1 << 14)(base.parse)  # type: ignore[attr-defined]  # trees are only read


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


def _listing_once(make: Callable[..., DefaultsList]) -> Callable[..., DefaultsList]:
    known: dict[Any, DefaultsList] = {}

    def create_defaults_list(
        repo: IConfigRepository,
        config_name: str,
        overrides_list: list[Override],
        prepend_hydra: bool,
        skip_missing: bool,
    ) -> DefaultsList:
        plain = [one for one in overrides_list if not one.is_sweep_override()]
        of_groups = [one for one in plain if repo.group_exists(one.key_or_group) and not isinstance(one.value(), dict)]
        typed = tuple(one.input_line for one in of_groups)
        key = (_state_of_all(repo), config_name, typed, prepend_hydra, skip_missing)
        if key not in known:
            known[key] = make(repo, config_name, overrides_list, prepend_hydra, skip_missing)
        result = copy.copy(known[key])
        result.defaults = [copy.copy(one) for one in result.defaults]
        result.config_overrides = [one for one in plain if one not in of_groups]
        return result

    return create_defaults_list


def _composing_once(compose: Callable[..., DictConfig]) -> Callable[..., DictConfig]:
    known: dict[Any, DictConfig] = {}

    def _compose_config_from_defaults_list(
        loader: ConfigLoaderImpl, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        key = (_state_of_all(repo), *(tuple(vars(one).items()) for one in defaults))
        if key not in known:
            known[key] = compose(loader, defaults, repo)
        return copy.deepcopy(known[key])

    return _compose_config_from_defaults_list


def _copied(metadata: base.Metadata, memo: dict[int, Any]) -> base.Metadata:
    """Types and keys as they are, which nobody changes; flags and what resolvers found are others in the copy."""
    made = object.__new__(type(metadata))
    made.__dict__.update(metadata.__dict__, flags=dict(metadata.flags or {}))
    made.resolver_cache = copy.deepcopy(metadata.resolver_cache, memo) if metadata.resolver_cache else defaultdict(dict)
    return made


def _state_of_all(repo: IConfigRepository) -> tuple[Any, ...]:
    """What changes when any file that there is to choose from does, or another is there."""
    sources = [(one.scheme(), one.provider, one.path) for one in repo.get_sources()]
    folders = [path for scheme, _, path in sources if scheme == "file"]
    files = [one for folder in folders for group in [folder, *_folders_in(folder)] for one in os.scandir(group)]
    states = [(one.path, one.stat().st_mtime_ns, one.stat().st_size) for one in files]
    return (*sources, *states, *ConfigStore.instance().repo)


def _folders_in(folder: str) -> list[str]:
    inner = [one.path for one in os.scandir(folder) if one.is_dir()] if os.path.isdir(folder) else []
    return [*inner, *(deeper for one in inner for deeper in _folders_in(one))]
