"""Finds the type of a setting: from schemas, data sources and, for other settings, the values in ``configs/``."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import importlib
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.fields import IS_TEXT
from lit_humor.config.schema import SCHEMAS
from lit_humor.core.place import ROOT_DIR
from lit_humor.data.settings import DataSettings

CONFIG_DIR = ROOT_DIR / "configs"
_DATA = "lit_humor.data."  # its sources import neither torch nor lightning
_MISSING = object()
_hints = functools.cache(get_type_hints)  # of a class: to read its annotations takes milliseconds
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


@dataclasses.dataclass(frozen=True)
class TextType:
    """The type of a setting that takes a text or texts.

    Attributes:
        is_list: It takes a list of texts, in brackets.
        is_optional: It also takes ``null``.
        may_be_node: It may also take a list or mapping.
    """

    is_list: bool = False
    is_optional: bool = False
    may_be_node: bool = False

    def is_node(self, value: str) -> bool:
        """Whether a typed value is a list or mapping, for Hydra to read."""
        return self.may_be_node and value.lstrip()[:1] in ("{" if self.is_list else "[{") and bool(value.strip())


def text_type_of(config_name: str, key: str) -> TextType | None:
    """Return the type of a setting if it takes a text or texts; otherwise None.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
        key: Full key, e.g. ``data.train_path``.
    """
    hint = hint_of(config_name, key)
    return _text_type(hint) if hint is not None else None


def numbers_as_texts(config_name: str, cfg: DictConfig) -> DictConfig:
    """Convert integers to texts where settings of ``data`` take texts, as in ``label_names: [-1, 1]`` of a file."""
    node = OmegaConf.select(cfg, "data")
    plain: Any = OmegaConf.to_container(node, resolve=False) if isinstance(node, DictConfig) else {}
    for name, value in plain.items():
        values = value if isinstance(value, list) else [value]
        if not any(type(item) is int for item in values):
            continue
        text_type = text_type_of(config_name, f"data.{name}")
        if text_type is not None and text_type.is_list == isinstance(value, list):
            texts = [str(item) if type(item) is int else item for item in values]
            node[name] = texts if text_type.is_list else texts[0]
    return cfg


def _text_type(hint: Any) -> TextType | None:
    if isinstance(hint, TextType):
        return hint
    is_union = get_origin(hint) in (Union, types.UnionType)
    members = get_args(hint) if is_union else (hint,)
    is_optional = type(None) in members
    others = [member for member in members if member is not type(None)]
    if others == [str]:
        return TextType(is_optional=is_optional)
    lists = (list, collections.abc.Sequence)
    texts = [member for member in others if get_origin(member) in lists and get_args(member) == (str,)]
    if texts and all(member in texts or get_origin(member) is dict for member in others):
        return TextType(is_list=True, is_optional=is_optional, may_be_node=len(others) > len(texts))
    return None


def hint_of(config_name: str, key: str) -> Any:
    """Return the annotation of a setting, or a ``TextType`` if its values in ``configs/`` are texts; otherwise None."""
    hint: Any = SCHEMAS.get(config_name)
    group, *rest = key.split(".")
    for position, part in enumerate([group, *rest]):
        hint = _without_none(hint)
        if dataclasses.is_dataclass(hint):
            declared = {field.name: field for field in dataclasses.fields(hint)}.get(part)
            if declared is None:
                return None
            is_text = declared.metadata.get(IS_TEXT) and position == len(rest)
            hint = TextType(may_be_node=True) if is_text else _hints(hint)[part]  # type: ignore[arg-type]
        elif hint is Any or (get_origin(hint) is dict and get_args(hint)[1] is Any):
            return _hint_in_group(group, rest)
        else:
            hint = get_args(hint)[1] if get_origin(hint) is dict else None
    return hint


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    return next((member for member in get_args(hint) if member is not type(None)), None)


def _hint_in_group(group: str, rest: Sequence[str]) -> Any:
    hint = _data_hint(rest[0]) if group == "data" else None
    if hint is not None:
        inner = _without_none(hint)
        return get_args(inner)[1] if len(rest) == 2 and get_origin(inner) is dict else hint if len(rest) == 1 else None
    values = [value for node in _written(group).values() if (value := _at(node, rest)) not in (_MISSING, None)]
    is_text = bool(values) and all(isinstance(value, str) and _leads_to_text(value) for value in values)
    return TextType(is_optional=True, may_be_node=True) if is_text else None


def _data_hint(name: str) -> Any:
    """Return the annotation of a key of ``data``; sources are imported only where no common setting has the name."""
    return _hints(DataSettings).get(name) or _hints_of_sources().get(name)


@functools.cache
def _hints_of_sources() -> dict[str, Any]:
    """Return the annotations of the keys of all data sources that files of ``configs/data`` name."""
    hints: dict[str, Any] = {}
    for target in sorted({str(node["_target_"]) for node in _written("data").values() if "_target_" in node}):
        if target.startswith(_DATA):
            module, _, name = target.rpartition(".")
            source = getattr(importlib.import_module(module), name, object)
            hints |= get_type_hints(source) if dataclasses.is_dataclass(source) else get_type_hints(source.__init__)
    return hints


@functools.cache
def _written(group: str) -> dict[str, dict[str, Any]]:
    """Return the content of the files of a group, by file name; references such as ``${seed}`` are not resolved."""
    files = sorted((CONFIG_DIR / group).glob("*.yaml"))
    nodes: Iterator[Any] = (OmegaConf.to_container(OmegaConf.load(path), resolve=False) for path in files)
    return {path.stem: node for path, node in zip(files, nodes, strict=True) if isinstance(node, dict)}


def choices_with(group: str, key: str) -> list[str]:
    """Return the choices of a group whose file has a key."""
    return [name for name, node in _written(group).items() if key and _at(node, key.split(".")) is not _MISSING]


def _at(node: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        node = node.get(key, _MISSING) if isinstance(node, Mapping) else _MISSING
    return node


def _leads_to_text(value: str) -> bool:
    """Whether a text of a file is still a text when its reference, if it is one, is resolved."""
    reference = _REFERENCE.fullmatch(value)
    return reference is None or text_type_of("train", reference[1]) is not None
