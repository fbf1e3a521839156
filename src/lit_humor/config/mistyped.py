"""Refuses arguments that are not ``key=value`` and keys that are unknown, and suggests what to type instead."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from lit_humor.config.declared import CONFIG_DIR, choices_with, text_type_of
from lit_humor.config.overrides import one_value
from lit_humor.config.schema import SCHEMAS
from lit_humor.config.validate import unknown_key
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import nearest
from lit_humor.core.settings import is_setting
from lit_humor.runs import record

_NOW_CHOICES = {"launch.kind": "launch"}  # keys of earlier versions, and the group that replaced them
Siblings = Callable[[str], Iterable[str]]


def settings_first(config_name: str, arguments: Sequence[str], siblings: Siblings) -> list[str]:
    """Sort the arguments: settings before options, the order that Hydra's parser needs.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
        arguments: Arguments of the command line.
        siblings: Returns the existing keys next to a key.

    Raises:
        UserError: An argument is neither ``key=value`` nor an option of Hydra, or requests several runs.
    """
    options = get_args_parser()
    known = options._option_string_actions
    for position, argument in enumerate(arguments):
        name = argument.partition("=")[0]
        if name.startswith("-") and not any(option.startswith(name) for option in known):
            _refuse_option(argument, arguments[position + 1 :])
    parsed, others = options.parse_known_args(list(arguments))
    settings = [*parsed.overrides, *others]
    if parsed.multirun:
        raise one_value(config_name, settings, "--multirun", "one value for each key")
    check_settings(config_name, settings, siblings)
    left = list(arguments)
    for setting in settings:
        left.remove(setting)
    return [*settings, *left]


def check_settings(config_name: str, settings: Sequence[str], siblings: Siblings) -> None:
    """Check that each argument is ``key=value``.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
        settings: Arguments of the command line.
        siblings: Returns the existing keys next to a key.

    Raises:
        UserError: An argument has no ``=``, or a key that no setting can have.
    """
    for position, setting in enumerate(settings):
        key, _, value = setting.partition("=")
        if not is_setting(setting):
            raise _no_setting(config_name, settings, position)
        name = key.lstrip("+~")
        if not name.strip() or name != name.strip():
            instead = f"{key.strip()}={value.strip()}" if name.strip() else f"<key>={value}"
            problem = "spaces around the key" if name.strip() else "no key"
            raise UserError(setting, found=problem, expected="key=value", fix=f"set {shlex.quote(instead)}")
        if group := _NOW_CHOICES.get(name):
            files = sorted(path.stem for path in (CONFIG_DIR / group).glob("*.yaml"))
            fix = f"leave {name} out and set {group}={nearest(value, files) or files[0]}"
            raise UserError(name, found=value or "nothing", expected=f"{group}=<file of configs/{group}>", fix=fix)
        try:
            OverridesParser.create().parse_rule(f"{name}=", "override")
            if setting.startswith("~"):
                OverridesParser.create().parse_rule(setting, "override")
        except (HydraException, AssertionError):
            if setting.startswith("~"):
                raise UserError(setting, found="a key to leave out", expected="~key", fix=f"set ~{name}") from None
            raise unknown_key(name, value, siblings(name)) from None


def elsewhere(key: str, value: str, settings: Sequence[str]) -> UserError | None:
    """Return the error for a key that only other choices of its group have; the first fix keeps the user's choice."""
    group, _, name = key.lstrip("+~").partition(".")
    if not (choices := choices_with(group, name)):
        return None
    problem, expected = f"a key that the chosen {group} does not have", f"one that has it: {', '.join(choices)}"
    choice = f"{group}={next((name for name in ('csv', 'hub') if name in choices), choices[0])}"
    is_chosen = any(setting.startswith(f"{group}=") for setting in settings)
    fix = f"leave {key.lstrip('+~')} out, or set {choice}" if is_chosen else f"add {choice}"
    return UserError(f"{key}={value}", found=problem, expected=expected, fix=fix)


def unknown_within(key: str, full_key: str, known: Iterable[str]) -> UserError:
    """Return the error for ``key={name: value}`` with a name that the node lacks; ``known`` are those it has."""
    expected = f"one of {', '.join(sorted(known))}"
    fix = f"leave {key} out, or name only these in it"
    return UserError(full_key, found="an unknown key", expected=expected, fix=fix)


def _refuse_option(option: str, rest: Sequence[str]) -> None:
    """Raise the error for ``--seed=3`` or ``--seed 3``, with ``seed=3`` as the fix."""
    key, equals, value = option.lstrip("-").partition("=")
    if not equals and rest and "=" not in rest[0] and not rest[0].startswith("-"):
        value = rest[0]
    fix = f"set {shlex.quote(f'{key}={value}')}" if value else f"set {key}=true, or leave it out"
    raise UserError(option, found="an unknown option", expected="key=value", fix=fix)


def _no_setting(config_name: str, settings: Sequence[str], position: int) -> UserError:
    """Return the error for a word without ``=``, with the setting that was most likely meant."""
    word = settings[position]
    before = settings[position - 1] if position else ""
    after = settings[position + 1] if position + 1 < len(settings) else ""
    if word in ("", "=") or after.startswith("="):
        instead = f"{word.strip('=')}={after.strip('=') or _next(settings, position + 2)}"
    elif before.endswith("="):
        instead = f"{before}{word}"
    elif position and (whole := _whole_list(settings[position - 1 :])):
        instead = whole
    elif text := _text_setting(config_name, word):
        instead = text
    elif "://" not in word and (":" in word.strip(":") or (word.endswith(":") and after)):
        key, _, value = word.partition(":")
        instead = f"{key}={value.strip() or after}"
    elif setting := _named(config_name, word):
        instead = setting
    elif "=" in before and (is_text := text_type_of(config_name, before.partition("=")[0])) and not is_text.is_list:
        instead = f"{before} {word}"
    else:
        fix = f"leave it out, or python src/lit_humor/{config_name}.py --cfg job lists all keys"
        return UserError(word, found="a word without =", expected="key=value", fix=fix)
    fix = f"set {instead if instead.startswith('data=csv ') else shlex.quote(instead)}"
    return UserError(word or "''", found="a word without =", expected="key=value", fix=fix)


def _whole_list(words: Sequence[str]) -> str | None:
    """Return a list or mapping that was typed with spaces, up to its closing bracket; None if there is none."""
    if "=" not in words[0] or not _is_open(words[0]):
        return None
    for end, word in enumerate(words[1:], start=2):
        if is_setting(word):
            return None
        if not _is_open(whole := " ".join(words[:end])):
            return whole
    return None


def _is_open(text: str) -> bool:
    return any(text.count(opening) > text.count(closing) for opening, closing in ("[]", "{}"))


def _text_setting(config_name: str, word: str) -> str | None:
    """Return ``text=...`` for a text with spaces, if the command has that setting; None for other words."""
    keys = {field.name for field in dataclasses.fields(SCHEMAS[config_name])}
    if "text" not in keys or len(word.split()) < 2 or word.partition(":")[0].strip() in keys:
        return None
    return _named(config_name, word) or f"text={word}"  # predict.py takes it without quotes


def _next(settings: Sequence[str], position: int) -> str:
    return settings[position] if position < len(settings) else "<value>"


def _named(config_name: str, word: str) -> str | None:
    """Return the setting for a word that names a run folder, a data file, or a choice of a group; otherwise None."""
    keys, path = {field.name for field in dataclasses.fields(SCHEMAS[config_name])}, Path(word)
    if "run" in keys and os.path.isfile(path / record.CONFIG):
        return f"run={word}"
    if "input" in keys and os.path.isfile(word):
        return f"input={word}"
    if config_name in ("train", "audit") and os.path.isfile(word):
        return f"data=csv and set {shlex.quote(f'data.train_path={word}')}"
    files = sorted(CONFIG_DIR.glob("*/*.yaml")) if path.name == word else []
    return next((f"{file.parent.name}={word}" for file in files if file.stem == word and _has(config_name, file)), None)


def _has(config_name: str, file: Path) -> bool:
    """Whether a command has the group of a configuration file."""
    return f" {file.parent.name}: " in (CONFIG_DIR / f"{config_name}.yaml").read_text(encoding="utf-8")
