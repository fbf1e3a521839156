"""Checks a composed configuration against the signatures of the classes that it names; reports all problems at once."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import difflib
import functools
import importlib
import inspect
import math
import re
import shlex
import types
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf

from lit_humor.core.errors import UserError, UserErrors, shorten
from lit_humor.core.settings import quoted, setting

ALLOWED_TARGETS = (
    "lit_humor.",
    "lightning.pytorch.callbacks.",
    "lightning.pytorch.loggers.",
    "torch.optim.",
    "torchmetrics.",
)
_SECRET = re.compile(r"token$|secret|passw|api_?key|credential", re.IGNORECASE)


def check_config(cfg: DictConfig, supplied: Mapping[str, Iterable[str]], flat: Mapping[str, type]) -> None:
    """Check every node that names a class.

    Args:
        cfg: The composed configuration.
        supplied: Arguments that Python adds when it builds a node, by the node's key.
        flat: Nodes that also hold the fields of a dataclass, by key.

    Raises:
        UserErrors: Unknown keys, values of a wrong type, missing values; one line each.
    """
    problems: list[UserError] = []
    for key in OmegaConf.missing_keys(cfg):
        if not key.startswith("paths."):
            problems.append(UserError(key, found="no value", expected="a value", fix=f"set {key}=<value>"))
    problems += _check_typed(cfg, "")
    problems += _check_secrets(OmegaConf.to_container(cfg, resolve=False), "")
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    for key, node in _nodes(plain, ""):
        problems += _check_node(key, node, set(supplied.get(key, ())), flat.get(key))
    if problems:
        raise UserErrors(problems)


def _check_typed(node: DictConfig, key: str) -> list[UserError]:
    """Return errors for keys that ``+key=value`` or a file added to a node whose dataclass lacks them."""
    problems: list[UserError] = []
    typed = OmegaConf.get_type(node)
    fields = {f.name for f in dataclasses.fields(typed)} if typed and dataclasses.is_dataclass(typed) else None
    for name in node:
        where = f"{key}.{name!s}" if key else str(name)
        if fields is not None and name not in fields:
            problems.append(unknown_key(where, shorten(node._get_node(name)), fields))
        elif not OmegaConf.is_missing(node, name) and isinstance(node[name], DictConfig):
            problems += _check_typed(node[name], where)
    return problems


def _check_secrets(value: Any, key: str) -> list[UserError]:
    """Return errors for secrets in plain text, which would be written to config.yaml and sent to trackers."""
    if isinstance(value, dict):
        return [
            problem for name, child in value.items() for problem in _check_secrets(child, f"{key}.{name}".lstrip("."))
        ]
    if not isinstance(value, str) or not value or "${oc.env:" in value or not looks_secret(key):
        return []
    fix = f"export it, and set {key}='${{oc.env:NAME}}'"
    return [UserError(key, found="a secret in plain text", expected="the name of an environment variable", fix=fix)]


def looks_secret(key: str) -> bool:
    """Whether the last part of a key names a password, token or the like."""
    return bool(_SECRET.search(key.rpartition(".")[2]))


def _nodes(value: Any, key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        if "_target_" in value:
            yield key, value
        for name, child in value.items():
            yield from _nodes(child, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _nodes(child, f"{key}[{index}]")


def _check_node(key: str, node: dict[str, Any], supplied: set[str], flat: type | None) -> list[UserError]:
    try:
        target = find_target(key, node["_target_"])
    except UserError as error:
        return [error]
    hints, parameters = _signature(target)
    if flat is not None:
        hints = hints | get_type_hints(flat)
        parameters = parameters | {f.name: f.default is dataclasses.MISSING for f in dataclasses.fields(flat)}
    problems = []
    for name, value in node.items():
        where = f"{key}.{name}"
        if name == "_target_" or value == "???":
            continue
        if name not in parameters and _checks_options(target):
            continue
        if name not in parameters:
            problems.append(unknown_key(where, shorten(value), [n for n in parameters if n not in supplied]))
        elif not fits(value, hints.get(name, Any)):
            problems.append(wrong_value(where, value, hints[name]))
    missing = [n for n, required in parameters.items() if required and n not in node and n not in supplied]
    problems += [
        UserError(f"{key}.{n}", found="nothing", expected="a value", fix=f"set {key}.{n}=<value>") for n in missing
    ]
    return problems


def _checks_options(target: Any) -> bool:
    """Whether a class of this project takes any other option too, and checks it itself."""
    parameters = inspect.signature(target).parameters.values()
    return target.__module__.startswith("lit_humor.") and any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters
    )


def find_target(key: str, path: str) -> Any:
    """Import what a ``_target_`` names, if it is on the allow-list: a config file must not run just any function.

    Names that an allowed module has only imported from another module are not allowed.
    """
    refused = UserError(
        f"{key}._target_",
        found=str(path),
        expected=f"a name that starts with {', '.join(ALLOWED_TARGETS)}",
        fix="write your own class under src/lit_humor and name it",
    )
    if not str(path).startswith(ALLOWED_TARGETS):
        raise refused
    module, _, name = str(path).rpartition(".")
    try:
        target = getattr(importlib.import_module(module), name)
        if f"{getattr(target, '__module__', '')}.".startswith(ALLOWED_TARGETS):
            return target
        raise refused
    except (ImportError, AttributeError):
        raise UserError(
            f"{key}._target_",
            found=str(path),
            expected="a class or function that exists",
            fix="correct the path",
        ) from None


def unknown_key(where: str, found: str, known: Iterable[str]) -> UserError:
    """Return the error for an unknown key, with the most similar key that exists."""
    known = sorted(known)
    if looks_secret(where):
        found = "not shown"
    near = [
        match
        for part in (where.rpartition(".")[2], where.partition(".")[0].lstrip("+~"))
        for match in difflib.get_close_matches(part, known, n=1, cutoff=0.6)
    ]
    return UserError(
        where,
        found=f"an unknown key (value {found})",
        expected=f"one of {', '.join(known)}",
        fix=f"did you mean '{near[0]}'?" if near else f"leave {where.lstrip('+~')} out",
    )


def unknown_value(where: str, found: str, known: Iterable[str]) -> UserError:
    """Return the error for an unknown choice, with the most similar one that exists."""
    known = sorted(known)
    near = difflib.get_close_matches(found, known, n=1, cutoff=0.5)
    fix = f"did you mean '{near[0]}'?" if near else f"set {where}={known[0]}"
    return UserError(where, found=f"'{found}'", expected=f"one of {', '.join(known)}", fix=fix)


@functools.cache
def _signature(target: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    """Return type hints and parameters (True if required) of the class or function that a node calls."""
    is_plain = inspect.isclass(target) and not dataclasses.is_dataclass(target)
    try:  # of a dataclass, not of its __init__, which lacks the imports of the modules of its base classes
        hints = get_type_hints(target.__init__ if is_plain else target)
    except NameError:  # a library imports some names of its hints only for type checkers
        hints = {}
    parameters = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            parameters[name] = parameter.default is parameter.empty
    return hints, parameters


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value fits a type annotation; for classes always True, as they are built from ``_target_``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if hint is Any or isinstance(value, (DictConfig, ListConfig)):
        return True
    if hint is None or hint is type(None):
        return value is None
    if hint is bool or hint is str:
        return isinstance(value, hint)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if origin in (list, tuple, collections.abc.Sequence):
        return isinstance(value, Sequence) and not isinstance(value, str) and all(fits(v, arguments[0]) for v in value)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, dict) and all(fits(v, arguments[1]) for v in value.values())
    return True


def wrong_value(where: str, value: Any, hint: Any) -> UserError:
    """Return the error for a value of the wrong type, with what to type instead."""
    is_finite = not isinstance(value, float) or math.isfinite(value)
    expected = _describe(hint) if is_finite else f"{_describe(hint)}, finite"
    return UserError(where, found=shorten(value), expected=expected, fix=_remedy(where, value, hint))


def _remedy(where: str, value: Any, hint: Any) -> str:
    """Return the fix for a value of the wrong type: what to type instead."""
    name = where.rpartition(".")[2]
    if fits(text := _as_text(value), hint) and value is not None:  # YAML read a number, bool or date, not a text
        written = f"[{', '.join(map(quoted, text))}]" if isinstance(text, list) else quoted(text)
        typed = shlex.quote(f"{where}={written.replace(', ', ',')}")
        return f"set {typed}, or in a file, with quotes and your spelling, {name}: {written}"
    if value is None and fits("", hint):
        return f"leave {where} out, or set {shlex.quote(setting(where, 'null'))}"
    if isinstance(value, str) and fits([value], hint):
        return f"set {shlex.quote(f'{where}=[{value}]')}"
    if isinstance(value, str) and (number := _likely_number(value, hint)):
        return f"set {where}={number}"
    if words := [str(word) for word in _words(hint)]:
        return f"set {where}={(difflib.get_close_matches(str(value), words, n=1) or words)[0]}"
    return f"leave {where} out, which takes its default"


def _likely_number(text: str, hint: Any) -> str | None:
    """Return the number that a text with other digits, brackets or commas probably means; None if none fits."""
    plain = unicodedata.normalize("NFKC", text).strip(" \t()[]{}<>,;:'\"")
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            if fits(kind(plain), hint):
                return plain
    with contextlib.suppress(ValueError, OverflowError):
        return str(round(float(plain))) if fits(1, hint) else None
    return None


def _as_text(value: Any) -> Any:
    """Convert a value of YAML to a text, or a list to a list of texts."""
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


def _words(hint: Any) -> list[Any]:
    """Return the words that an annotation allows; for bool ``true`` and ``false``."""
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return [word for argument in get_args(hint) for word in _words(argument)]
    return ["true", "false"] if hint is bool else []


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    names = {bool: "true or false", int: "an integer", float: "a number", str: "a text", type(None): "null"}
    if hint in names:
        return names[hint]
    if get_origin(hint) in (list, collections.abc.Sequence):
        return f"a list of items, each {_describe(get_args(hint)[0])}"
    return str(hint)
