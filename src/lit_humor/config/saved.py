"""Opens run folders (all but the weights), and prepares the configuration to be saved in one, without secrets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.frozen import frozen
from lit_humor.config.overrides import with_plain_dollar
from lit_humor.config.validate import looks_secret
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR
from lit_humor.core.remedies import nearest
from lit_humor.core.settings import command_line, setting, typed
from lit_humor.runs import record
from lit_humor.runs.watch import find_run, find_runs

_TEACHERS = "objective.teachers"  # a list of runs
_LEAST_SECRET = 8  # characters
_UNNAMED = {"0": "LABEL_0", "1": "LABEL_1"}  # names that transformers leaves out of its config.json


@dataclass(frozen=True)
class SavedRun:
    """The content of a run folder, except the weights; each part is read once, when it is first used.

    Attributes:
        folder: The run folder.
        config: The configuration of the training; read-only.
        calibrated_in: Folder with another calibration than the run's own.
    """

    folder: Path
    config: DictConfig
    calibrated_in: Path | None = None

    @cached_property
    def plan(self) -> Mapping[str, Any]:
        """The hardware plan of the training, see ``Plan``."""
        return record.read_json(self.folder / record.ENVIRONMENT)["plan"]

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in class order."""
        return class_names_of(self.folder)

    @cached_property
    def calibration(self) -> Mapping[str, float]:
        """Values that ``report.py`` or ``eval.py`` fitted: ``temperature``, and ``threshold`` for two classes."""
        return record.read_calibration(self.calibrated_in or self.folder)

    @property
    def backbone(self) -> str:
        """Folder with configuration and tokenizer of the encoder."""
        return str(self.folder / record.BACKBONE)

    @property
    def best(self) -> Path:
        """The best checkpoint."""
        return self.folder / record.CHECKPOINTS / record.BEST


def open_run(run: str | SavedRun) -> SavedRun:
    """Open a run by its folder or name; an opened run is returned as it is.

    Raises:
        UserError: There is no such run, or it never started.
    """
    if isinstance(run, SavedRun):
        return run
    folder = find_run_folder(run)
    cfg = OmegaConf.load(folder / record.CONFIG)
    assert isinstance(cfg, DictConfig)
    return SavedRun(folder, frozen(cfg))


def calibrated(run: SavedRun, folder: str) -> SavedRun:
    """Return the run with the calibration that ``eval.py calibrate=true`` wrote to a folder.

    Raises:
        UserError: There is none.
    """
    if not (Path(folder) / record.CALIBRATION).is_file():
        raise UserError(
            f"calibration={folder}",
            found=f"no {record.CALIBRATION} in it" if Path(folder).is_dir() else "no such folder",
            expected="a folder that eval.py calibrate=true wrote to",
            fix="leave it out, or first: "
            + command_line("eval", setting("run", str(run.folder)), "calibrate=true", setting("output", folder)),
        )
    return replace(run, calibrated_in=Path(folder))


def find_run_folder(run: str) -> Path:
    """Find the folder of a run, by its folder or name.

    Raises:
        UserError: There is no such run, or it never started.
    """
    folder = find_run(run, ROOT_DIR / "logs")
    if folder is None:
        problem = "a folder without config.yaml" if Path(run).exists() else "no such folder"
        raise no_run(Path(run).parent, ROOT_DIR / "logs", where=f"run={run}", found=problem)
    return folder


def find_teachers(names: Iterable[str], logs_dir: str | Path = ROOT_DIR / "logs") -> list[str]:
    """Return the absolute folders of the runs that ``objective.teachers`` names.

    Args:
        names: Folders, or names of runs in ``logs_dir``.
        logs_dir: Parent of run folders.

    Raises:
        UserError: There is none, or one is not there or has no weights.
    """
    folders = [find_run(str(name), Path(logs_dir)) or Path(name) for name in names]
    bad = [folder for folder in folders if not (folder / record.CHECKPOINTS / record.BEST).is_file()]
    if bad or not folders:
        where, places = (
            f"{_TEACHERS}={bad[0]}" if bad else _TEACHERS,
            [Path(logs_dir), *(bad[0].parent for _ in bad[:1])],
        )
        raise no_run(*places, where=where, found="no run with weights" if bad else "none")
    return [str(folder.absolute()) for folder in folders]


def class_names_of(folder: Path) -> tuple[str, ...]:
    """Return the class names of a run, in class order, or (). Older runs have them in the files of ``backbone/``."""
    if (folder / record.LABELS).is_file():
        return tuple(record.read_json(folder / record.LABELS)["class_names"])
    if not (folder / record.BACKBONE / "config.json").is_file():
        return ()
    names = record.read_json(folder / record.BACKBONE / "config.json").get("id2label", _UNNAMED)
    return tuple(names[index] for index in sorted(names, key=int))


def no_run(*places: str | Path, where: str = "run", found: str = "no run") -> UserError:
    """Return the error for a missing run; its fix names the run with the most similar name, or the newest one.

    Args:
        places: Folders to search for runs, the most likely ones first.
        where: The setting, as typed.
        found: The problem, for the message.
    """
    runs = [str(run) for place in places for run in find_runs(Path(place))]
    key, _, name = where.partition("=")
    runs.sort(key=lambda run: not (Path(run) / record.RESULT).is_file())  # finished runs first
    near = nearest(Path(name).name, [Path(run).name for run in runs]) if name else None
    fix = "python src/lit_humor/train.py makes one"
    if runs:
        chosen = next((run for run in runs if Path(run).name == near), runs[0])
        fix = f"set {typed(key, [chosen] if key == _TEACHERS else chosen)}"
    return UserError(where, found=found, expected="a folder that train.py made, such as logs/<run id>", fix=fix)


def written_config(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration, but keep ``${oc.env:NAME}`` in place of possible secrets.

    A possible secret is any text from an environment variable of at least 8 characters (a shorter one would also be
    found inside other words), everywhere in the configuration, and any value whose key looks like a secret.
    """
    names: dict[str, str] = {}  # value of a variable: the reference that names it

    def hide(key: str, raw: Any, resolved: Any) -> Any:
        if isinstance(raw, dict) and isinstance(resolved, dict):
            return {name: hide(str(name), raw[name], resolved[name]) for name in resolved}
        if isinstance(raw, list) and isinstance(resolved, list):
            return [hide(key, *pair) for pair in zip(raw, resolved, strict=True)]
        is_text = isinstance(raw, str) and isinstance(resolved, str) and "${oc.env:" in raw
        if is_text and len(resolved) >= _LEAST_SECRET:
            names[resolved] = raw
        if is_text and (resolved in names or looks_secret(key)):
            return raw
        return with_plain_dollar(resolved) if isinstance(resolved, str) else resolved  # read again, it is no reference

    def hide_repeated(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: hide_repeated(child) for name, child in value.items()}
        if isinstance(value, list):
            return [hide_repeated(child) for child in value]
        for secret, name in names.items():
            value = value.replace(secret, name) if isinstance(value, str) else value
        return value

    resolved: Any = OmegaConf.to_container(cfg, resolve=True)
    return hide_repeated(hide("", OmegaConf.to_container(cfg, resolve=False), resolved))
