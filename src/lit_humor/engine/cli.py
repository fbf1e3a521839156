"""What all commands share: compose the configuration, and end a user's mistake with one message."""

from __future__ import annotations

import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from lit_humor.core.errors import InterruptedRun, UserError
from lit_humor.engine.rundir import ROOT_DIR, open_run_dir
from lit_humor.engine.schema import register_schemas
from lit_humor.engine.validate import unknown_key, unknown_value
from lit_humor.runs.watch import find_run

CONFIG_DIR = ROOT_DIR / "configs"
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_PATH_ERRORS = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG)
INTERRUPTED = 130  # exit code of a process that Ctrl-C ended
_READER_LEFT = 141  # of one that SIGPIPE ended


def compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Compose a configuration from Python as the command of that name would, inside another command or without one."""
    register_schemas()
    if GlobalHydra.instance().is_initialized():
        return hydra.compose(config_name, list(overrides))
    with hydra.initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
        return hydra.compose(config_name, list(overrides))


def choice(group: str) -> str | None:
    """Which file of a group was chosen, e.g. ``minilm`` of ``model``; None outside a command."""
    return HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None


def typed_overrides() -> list[str]:
    """What was typed behind the command; nothing outside a command."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Turn a function of a configuration into a command.

    A user's mistake prints one message and exits with 1; its traceback shows only under ``debug=``.

    Args:
        config_name: File under ``configs/``, without ``.yaml``.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        def run() -> None:
            arguments = list(sys.argv)
            if config_name != "train":  # debug= is a group of trainings; for the others it only shows tracebacks
                sys.argv[1:] = [argument for argument in sys.argv[1:] if not argument.startswith("debug=")]
            if config_name != "train" and {"--help", "-h"}.intersection(sys.argv[1:]):
                print(_help_of(config_name))
                return
            try:
                mistake = _run(function, config_name)
            except (InterruptedRun, KeyboardInterrupt) as asked:  # before there was anything to save
                print("\nInterrupted.", file=sys.stderr)
                sys.exit(getattr(asked, "exit_code", INTERRUPTED))
            except BrokenPipeError:  # whoever read the output left, as head does
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
    """The settings of a command with what they mean: its file in configs/, without what it is put together from."""
    text = (CONFIG_DIR / f"{config_name}.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("\ndefaults:\n")
    defaults, _, settings = rest.partition("\n\n")
    names = [line.strip(" -").partition(":")[0] for line in defaults.splitlines()]
    groups = [name for name in names if name not in ("paths", "hydra") and (CONFIG_DIR / name).is_dir()]
    listed = [f"{group}= {', '.join(sorted(path.stem for path in (CONFIG_DIR / group).iterdir()))}" for group in groups]
    told = "Settings are typed as key=value; --cfg job shows all, and what they are now."
    return "\n".join([head.rstrip(), "", settings.rstrip(), *listed, "", told])


def _run(function: Callable[[DictConfig], Any], config_name: str) -> UserError | None:
    """Compose the configuration and call the function; the mistake that this ends in, if it does."""
    register_schemas()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us instead of being printed by Hydra
    mistakes: list[UserError] = []
    is_composed = False

    @functools.wraps(function)
    def task(cfg: DictConfig) -> None:
        nonlocal is_composed
        is_composed = True
        try:
            check_files(cfg)
            _find_runs(cfg)
            function(cfg)
        except UserError as error:
            mistakes.append(error)  # past Hydra, which would print a line of its own

    entry = hydra.main(version_base="1.3", config_path=str(CONFIG_DIR), config_name=config_name)
    try:
        entry(task)()
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        mistakes.append(_explain(error, config_name).with_traceback(error.__traceback__))
    except AssertionError as error:
        if "Unexpected type for root" not in str(error):
            raise
        mistakes.append(_group_not_chosen())
    except OSError as error:
        if error.errno not in (*_DISK_ERRORS, *_PATH_ERRORS):
            raise
        mistakes.append(_disk(error))
    except (ValueError, TypeError, AttributeError) as error:  # what Hydra itself raises on odd overrides
        if is_composed:
            raise
        mistakes.append(_explain(error, config_name).with_traceback(error.__traceback__))
    return mistakes[0] if mistakes else None


def _disk(error: OSError) -> UserError:
    where = str(error.filename2 or error.filename or "disk")
    if error.errno in _PATH_ERRORS:
        expected, fix = "a place for a new file or folder", "name another path"
        return UserError(where, found=str(error.strerror), expected=expected, fix=fix)
    fix = "make room or give permission, or write elsewhere; what was written before is whole"
    return UserError(where, found=str(error.strerror), expected="room and permission to write", fix=fix)


def check_files(cfg: DictConfig) -> None:
    """Answer a wrong path before the seconds that torch and lightning take to import."""
    from lit_humor.data.kinds import check_kind
    from lit_humor.data.tables import ENDINGS

    for key in ("data.train_path", "data.val_path", "data.test_path", "data.difficulty_path"):
        if path := OmegaConf.select(cfg, key):
            check_kind(Path(str(path)), ENDINGS)


def _find_runs(cfg: DictConfig) -> None:
    """Put a run's folder in the place of its id."""
    for key in ("run", "resume", "init_from"):
        if (name := cfg.get(key)) and name != "auto":
            cfg[key] = str(find_run(str(name), Path(cfg.paths.logs_dir)) or name)
    if cfg.get("run"):
        open_run_dir(str(cfg.run))  # a wrong name is told before torch is imported
    if isinstance(cfg.get("runs"), ListConfig):
        cfg.runs = [str(find_run(str(name), Path(cfg.paths.logs_dir)) or name) for name in cfg.runs]


def _explain(error: Exception, config_name: str) -> UserError:
    """Say in our form what Hydra and OmegaConf found wrong with the command line or a YAML file."""
    if isinstance(error.__cause__, UserError):  # from a class that Hydra was building
        return error.__cause__
    for argument in sys.argv[1:]:
        if isinstance(error, OverrideParseException) and argument == error.override:
            return UserError(
                argument, found="no setting", expected="key=value", fix="quote values with blanks or commas"
            )
        key, _, value = argument.partition("=")
        if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file == f"{key}/{value}":
            return unknown_value(key, value, error.options)
        if f"'{key.lstrip('+~')}'" in str(error) and "Could not override" in str(error):
            return unknown_key(key, value, _siblings(key, config_name))
    cause = error.__cause__ or error
    if isinstance(cause, ValidationError):
        told = str(cause).splitlines()[0]
        return UserError(str(cause.full_key), found=told, expected="a value of that type", fix="correct it")
    return UserError("configuration", found=str(error), expected="one that composes", fix="correct the key or file")


def _group_not_chosen() -> UserError:
    """What OmegaConf only asserts: ``data.test_path=...`` where no ``data=`` was chosen."""
    typed = [argument.partition("=")[0] for argument in sys.argv[1:]]
    key = next((key for key in typed if "." in key and key.partition(".")[0] not in typed), "configuration")
    group = key.partition(".")[0]
    return UserError(
        key, found=f"a setting of '{group}'", expected=f"a choice of '{group}' beside it", fix=f"add {group}=csv"
    )


def _siblings(key: str, config_name: str) -> list[str]:
    """Keys that stand where ``key`` was looked for, or at the top, under the groups that were chosen."""
    GlobalHydra.instance().clear()
    chosen = [argument for argument in sys.argv[1:] if argument.partition("=")[0] != key]
    groups = [argument for argument in chosen if (CONFIG_DIR / argument.partition("=")[0]).is_dir()]
    cfg = compose(config_name, groups)
    node = OmegaConf.select(cfg, key.rpartition(".")[0]) if "." in key else cfg
    return [str(name) for name in (node if isinstance(node, DictConfig) else cfg)]
