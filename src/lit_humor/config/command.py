"""The frame of all commands: composes the configuration, and reports a mistake of the user in one message."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException, ValidationError

from lit_humor.config.declared import CONFIG_DIR, hint_of, numbers_as_texts
from lit_humor.config.mistyped import check_settings, elsewhere, settings_first, unknown_within
from lit_humor.config.overrides import check_one_file, for_hydra, with_plain_dollar
from lit_humor.config.saved import find_run_folder, find_teachers
from lit_humor.config.schema import register_schemas
from lit_humor.config.validate import unknown_key, unknown_value, wrong_value
from lit_humor.core.errors import InterruptedRun, UserError
from lit_humor.core.settings import is_null
from lit_humor.data.reading.kinds import ENDINGS, check_kind
from lit_humor.runs.watch import find_run

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_PATH_ERRORS = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)
INTERRUPTED = 130  # exit code of a process that Ctrl-C ended
_READER_LEFT = 141  # exit code of a process that SIGPIPE ended


def compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration of a command from Python; works inside and outside of a running command."""
    register_schemas()
    overrides = for_hydra(config_name, overrides)
    if GlobalHydra.instance().is_initialized():
        return numbers_as_texts(config_name, hydra.compose(config_name, overrides))
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return numbers_as_texts(config_name, hydra.compose(config_name, overrides))


def choice(group: str) -> str | None:
    """Return the chosen file of a configuration group, e.g. ``minilm`` of ``model``; None outside a command."""
    return HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None


def check_typed(config_name: str, settings: Sequence[str]) -> None:
    """Check that each argument is a setting of a command.

    Raises:
        UserError: An argument is not ``key=value``.
    """
    check_settings(config_name, settings, lambda key: _siblings(key, config_name, settings))


def typed_overrides() -> list[str]:
    """Return the settings of the command line, as typed; an empty list outside a command."""
    if not HydraConfig.initialized():
        return []
    arguments = sys.argv[1:]
    return [
        word for word in arguments if ("=" in word and not word.startswith(("-", "hydra."))) or word.startswith("~")
    ]


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a configuration into a command.

    A mistake of the user prints one message and exits with code 1; the traceback is shown only with ``debug=``.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def run() -> None:
            arguments = list(sys.argv)
            if config_name != "train":  # debug= is a group of train.py; for other commands it only shows tracebacks
                sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith("debug=")]
            if config_name != "train" and {"--help", "-h"}.intersection(sys.argv[1:]):
                print(_help_of(config_name))
                return
            try:
                mistake = _run(function, config_name)
            except (InterruptedRun, KeyboardInterrupt) as interruption:  # before there was anything to save
                print("\nInterrupted.", file=sys.stderr)
                sys.exit(getattr(interruption, "exit_code", INTERRUPTED))
            except BrokenPipeError:  # the reader of the output has closed it, as head does
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                sys.exit(_READER_LEFT)
            if mistake is not None:
                if any(argument.startswith("debug=") for argument in arguments):
                    traceback.print_exception(mistake)
                print(f"Error: {mistake}", file=sys.stderr)
                sys.exit(1)

        return run

    return decorate


def _help_of(config_name: str) -> str:
    """Return the help of a command: its settings with their comments, from its file in ``configs/``."""
    text = (CONFIG_DIR / f"{config_name}.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("\ndefaults:\n")
    defaults, _, settings = rest.partition("\n\n")
    names = [line.strip(" -").partition(":")[0] for line in defaults.splitlines()]
    groups = [name for name in names if name not in ("paths", "hydra") and (CONFIG_DIR / name).is_dir()]
    listed = [f"{group}= {', '.join(sorted(path.stem for path in (CONFIG_DIR / group).iterdir()))}" for group in groups]
    usage = "Type settings as key=value, texts and paths without extra quotes; --cfg job shows all current values."
    return "\n".join([head.rstrip(), "", settings.rstrip(), *listed, "", usage])


def _run(function: Callable[[DictConfig], Any], config_name: str) -> UserError | None:
    """Compose the configuration and call the function; return the user's mistake if there is one."""
    register_schemas()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of being printed by Hydra
    mistakes: list[UserError] = []
    is_composed = False
    as_typed = sys.argv

    @functools.wraps(function)
    def task(cfg: DictConfig) -> None:
        nonlocal is_composed
        is_composed = True
        sys.argv = as_typed  # as typed: it is shown to users, and Lightning starts other processes with it
        try:
            with explained(config_name, as_typed[1:]):
                check_files(numbers_as_texts(config_name, cfg), config_name, as_typed[1:])
                _find_runs(cfg)
                function(cfg)
        except UserError as error:
            mistakes.append(error)  # not raised through Hydra, which would print its own line

    entry = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    try:
        arguments = settings_first(config_name, as_typed[1:], lambda key: _siblings(key, config_name, as_typed[1:]))
        with _typed(for_hydra(config_name, arguments)), explained(config_name, arguments), _composed_once(arguments):
            entry(task)()
    except UserError as error:  # while the configuration was composed
        mistakes.append(error)
    except AssertionError as error:
        if "Unexpected type for root" not in str(error):
            raise
        mistakes.append(_group_not_chosen())
    except OSError as error:
        if error.errno not in (*_DISK_ERRORS, *_PATH_ERRORS):
            raise
        mistakes.append(_disk(error))
    except (ValueError, TypeError, AttributeError) as error:  # errors of Hydra itself on unusual overrides
        if is_composed:
            raise
        mistakes.append(_explain(error, config_name, as_typed[1:]).with_traceback(error.__traceback__))
    return mistakes[0] if mistakes else None


@contextlib.contextmanager
def _typed(overrides: Sequence[str]) -> Iterator[None]:
    """Replace the command line by other overrides for Hydra."""
    as_typed = sys.argv
    sys.argv = [as_typed[0], *overrides]
    try:
        yield
    finally:
        sys.argv = as_typed


@contextlib.contextmanager
def _composed_once(settings: Sequence[str]) -> Iterator[None]:
    """Compose only once: Hydra would compose a first time only to see whether several runs were requested."""
    original = Hydra.get_mode
    if not any("hydra.mode" in setting for setting in settings):
        Hydra.get_mode = lambda *_, **__: RunMode.RUN  # type: ignore[method-assign]
    try:
        yield
    finally:
        Hydra.get_mode = original  # type: ignore[method-assign]


@contextlib.contextmanager
def explained(config_name: str, settings: Sequence[str]) -> Iterator[None]:
    """Replace errors of Hydra, OmegaConf and YAML about settings or files by a ``UserError``.

    Raises:
        UserError: Instead of the original error.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise _explain(error, config_name, settings).with_traceback(error.__traceback__) from None


def _disk(error: OSError) -> UserError:
    where = str(error.filename2 or error.filename or "disk")
    if error.errno in _PATH_ERRORS:
        expected, fix = "a path where a file or folder can be written", "choose another path"
        return UserError(where, found=str(error.strerror), expected=expected, fix=fix)
    fix = "free space or give permission, or write elsewhere; files that were written before are complete"
    return UserError(where, found=str(error.strerror), expected="free space and permission to write", fix=fix)


def check_files(cfg: DictConfig, config_name: str = "train", settings: Sequence[str] = ()) -> None:
    """Check the paths of data files before the import of torch and lightning; a ``UserError`` names a wrong one."""
    for key in ("data.train_path", "data.val_path", "data.test_path", "data.difficulty_path"):
        if path := OmegaConf.select(cfg, key):
            check_one_file(config_name, key, str(path), settings)
            check_kind(Path(str(path)), ENDINGS)


def _find_runs(cfg: DictConfig) -> None:
    """Replace names of runs in the configuration by their folders."""
    for key in ("run", "resume", "init_from"):
        if (name := cfg.get(key)) and name != "auto":
            cfg[key] = str(find_run(str(name), Path(cfg.paths.logs_dir)) or name)
    if cfg.get("run"):
        find_run_folder(str(cfg.run))  # a wrong name is reported before torch is imported
    if isinstance(teachers := OmegaConf.select(cfg, "objective.teachers"), ListConfig):
        cfg.objective.teachers = find_teachers(teachers, cfg.paths.logs_dir)
    if isinstance(cfg.get("runs"), ListConfig):
        cfg.runs = [str(find_run(str(name), Path(cfg.paths.logs_dir)) or name) for name in cfg.runs]


def _explain(error: Exception, config_name: str, settings: Sequence[str]) -> UserError:
    if isinstance(error.__cause__, UserError):  # from a class that Hydra was about to build
        return error.__cause__
    for argument in settings:
        key, _, value = argument.partition("=")
        if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file == f"{key}/{value}":
            return unknown_value(key, value, error.options)
        if f"'{key.lstrip('+~')}'" in str(error) and "Could not override" in str(error):
            full_key = str(getattr(error.__cause__, "full_key", key))  # a longer one: of a mapping that was typed
            known = _siblings(full_key, config_name, settings)
            if full_key.startswith(f"{key.lstrip('+~')}."):
                return unknown_within(key, full_key, known)
            return elsewhere(key, value, settings) or unknown_key(key, value, known)
    cause = error.__cause__ or error
    message = str(cause).splitlines()[0]
    if isinstance(cause, ValidationError):
        return _of_type(str(cause.full_key), message, config_name, settings)
    if isinstance(cause, InterpolationResolutionError):
        expected, fix = "a key or variable that exists", _remedy_of_reference(str(cause.full_key), settings)
        return UserError(str(cause.full_key), found=message, expected=expected, fix=fix)
    return UserError(
        "configuration", found=message, expected="one that Hydra can compose", fix="correct the key or file"
    )


def _remedy_of_reference(key: str, settings: Sequence[str]) -> str:
    """Return the fix for a ``${x}`` that names nothing: type it as plain text, or correct it."""
    typed = next((setting for setting in reversed(settings) if setting.lstrip("+").partition("=")[0] == key), None)
    if typed is None or "${" not in typed or "${oc." in typed:
        return f"leave {key} out, or correct what ${{}} names"
    return f"set {shlex.quote(with_plain_dollar(typed))} if ${{}} is a part of the text, or correct what it names"


def _of_type(key: str, message: str, config_name: str, settings: Sequence[str]) -> UserError:
    """Return the error for a value of the wrong type."""
    typed = [setting.partition("=")[2] for setting in settings if setting.lstrip("+").partition("=")[0] == key]
    hint = hint_of(config_name, key)
    if not typed or hint is None:
        return UserError(key, found=message, expected="a value of that type", fix=f"set {key} to one")
    return wrong_value(key, None if is_null(typed[-1]) else typed[-1], hint)


def _group_not_chosen() -> UserError:
    """Return the error for ``data.test_path=...`` without a choice of ``data=``, where OmegaConf fails an assertion."""
    typed = [argument.partition("=")[0] for argument in sys.argv[1:]]
    key = next((key for key in typed if "." in key and key.partition(".")[0] not in typed), "configuration")
    group = key.partition(".")[0]
    return UserError(
        key, found=f"a setting of '{group}'", expected=f"also a choice of '{group}'", fix=f"add {group}=csv"
    )


def _siblings(key: str, config_name: str, settings: Sequence[str]) -> list[str]:
    """Return the existing keys next to ``key``, or at the top level, under the groups that were chosen."""
    GlobalHydra.instance().clear()
    chosen = [argument for argument in settings if argument.partition("=")[0] != key]
    groups = [word for word in chosen if word.partition("=")[1] and (CONFIG_DIR / word.partition("=")[0]).is_dir()]
    cfg = compose(config_name, groups)
    node = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return [str(name) for name in (node if isinstance(node, DictConfig) else cfg)]
