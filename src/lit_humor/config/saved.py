"""The configuration of a run folder: found again, and written without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.validate import looks_secret
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.core.remedies import nearest
from lit_humor.runs import record
from lit_humor.runs.watch import find_run, find_runs

_LEAST_SECRET = 8  # characters


def open_run_dir(folder: str) -> tuple[Path, DictConfig]:
    """Find a run that exists and read its configuration.

    Raises:
        UserError: There is no such run, or it never started.
    """
    path = find_run(folder, ROOT_DIR / "logs")
    if path is None:
        found = "no run folder with config.yaml there" if Path(folder).exists() else "no such folder"
        raise no_run(Path(folder).parent, ROOT_DIR / "logs", where=f"run={folder}", found=found)
    cfg = OmegaConf.load(path / record.CONFIG)
    assert isinstance(cfg, DictConfig)
    return path, cfg


def no_run(*places: str | Path, where: str = "run", found: str = "no run") -> UserError:
    """The error for a run that is missing, with the one that is most like it or newest.

    Args:
        places: Folders of run folders to look in, the likely ones first.
        where: What was typed.
        found: What is there.
    """
    runs = [str(run) for place in places for run in find_runs(Path(place))]
    key, _, name = where.partition("=")
    runs.sort(key=lambda run: not (Path(run) / record.RESULT).is_file())  # those that are done first
    near = nearest(Path(name).name, [Path(run).name for run in runs]) if name else None
    fix = "python src/lit_humor/train.py makes one"
    if runs:
        fix = f"set {key}={next((run for run in runs if Path(run).name == near), runs[0])}"
    return UserError(where, found=found, expected="a folder that train.py made, such as logs/<run id>", fix=fix)


def written_config(cfg: DictConfig) -> dict[str, Any]:
    """Every value as it is used, but for what may be a secret: that stays ``${oc.env:NAME}``, wherever it is repeated.

    That is any text from a variable of the environment, unless it is so short that it would be found in other words.
    """
    names: dict[str, str] = {}  # what stands in a variable, and the text that names it

    def hide(key: str, raw: Any, resolved: Any) -> Any:
        if isinstance(raw, dict) and isinstance(resolved, dict):
            return {name: hide(str(name), raw[name], resolved[name]) for name in resolved}
        if isinstance(raw, list) and isinstance(resolved, list):
            return [hide(key, *pair) for pair in zip(raw, resolved, strict=True)]
        is_text = isinstance(raw, str) and isinstance(resolved, str) and "${oc.env:" in raw
        if is_text and len(resolved) >= _LEAST_SECRET:
            names[resolved] = raw
        return raw if is_text and (resolved in names or looks_secret(key)) else resolved

    def hide_repeated(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: hide_repeated(one) for name, one in value.items()}
        if isinstance(value, list):
            return [hide_repeated(one) for one in value]
        for found, name in names.items():
            value = value.replace(found, name) if isinstance(value, str) else value
        return value

    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    return hide_repeated(hide("", OmegaConf.to_container(cfg, resolve=False), resolved))
