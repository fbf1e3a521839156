"""Finds the run to resume, its checkpoint and its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.command import typed_overrides
from lit_humor.config.frozen import changed, frozen
from lit_humor.config.saved import SavedRun, open_run
from lit_humor.core.errors import UserError
from lit_humor.core.place import is_main_process
from lit_humor.core.remedies import free_path
from lit_humor.core.settings import check_name, command_line, setting, typed
from lit_humor.engine.checkpoints import furthest_valid, moved, read_checkpoint, set_later_aside
from lit_humor.engine.configuration import in_folder, pinned
from lit_humor.engine.nodes import agree_on
from lit_humor.engine.rundir import hold
from lit_humor.runs import record, screen
from lit_humor.runs.watch import is_done

AUTO = "auto"
_CHECKPOINT_VARIABLE = "LIT_HUMOR_CHECKPOINT"  # passes the checkpoint that the first process found to the others
_PLACES = (
    "trainer.devices",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.num_workers",
)  # may change on resuming: they do not change the weights
_COMPUTED = (
    "trainer.",
    "model.lr_scale",
    "optim.lr_scale",
)  # their auto is replaced by a value for the machine or the encoder


@dataclass(frozen=True)
class Resumed:
    """A run to resume.

    Attributes:
        folder: The run folder.
        checkpoint: The checkpoint to resume from.
        cfg: The configuration of the run, with the choices of its plan.
        is_done: Whether the run is finished already.
    """

    folder: Path
    checkpoint: Path
    cfg: DictConfig
    is_done: bool = False


def find_resumed(cfg: DictConfig) -> Resumed | None:
    """Return the run that ``cfg.resume`` names; None if a new training starts.

    ``auto`` means the run named ``run_id``, if it has a checkpoint. Other values are a run or one of its checkpoints.

    Raises:
        UserError: There is no such run, it has no readable checkpoint, or it has other settings.
    """
    if not cfg.resume:
        return None
    if cfg.resume == AUTO:
        return _of_run_id(cfg)
    _check_nothing_beside(cfg)
    named = Path(cfg.resume)
    if named.suffix == ".ckpt":
        saved = _open(str(named.parent.parent))
        hold(saved.folder)
        read_checkpoint(named, mmap=True)
        if is_main_process():
            set_later_aside(saved.folder / record.CHECKPOINTS, named)
        return Resumed(saved.folder, named, _as_planned(saved))
    saved = _open(cfg.resume)
    folder = saved.folder
    hold(folder)
    if is_done(folder):
        raise UserError(
            f"resume={cfg.resume}",
            found="a run that is done",
            expected="one that was interrupted",
            fix=f"{command_line('eval', setting('run', str(folder)))}, or train anew with more epochs",
        )
    checkpoint = _checkpoint_of(folder, saved.config)
    if checkpoint is None:
        raise UserError(
            f"resume={cfg.resume}",
            found="no checkpoint in that run that can be read",
            expected="a run that got through an epoch or was interrupted cleanly",
            fix="start it again under another run_id",
        )
    return Resumed(folder, checkpoint, _as_planned(saved))


def _open(name: str) -> SavedRun:
    """Open a run; if its folder was moved, the paths in its configuration are adapted."""
    saved = open_run(name)
    folder = saved.folder.absolute()
    settings = moved(OmegaConf.to_container(saved.config, resolve=False), saved.config.paths.run_dir, str(folder))
    return SavedRun(folder, frozen(changed(OmegaConf.create(settings), {"paths.logs_dir": str(folder.parent)})))


def _of_run_id(cfg: DictConfig) -> Resumed | None:
    if not cfg.run_id:
        fix = "add run_id=<name>, the same each time"
        raise UserError("resume=auto", found="no run_id beside it", expected="the run's name", fix=fix)
    check_name("run_id", cfg.run_id)
    folder = Path(cfg.paths.logs_dir) / cfg.run_id
    if folder.is_dir():
        hold(folder)
    checkpoint = _checkpoint_of(folder, cfg)
    if checkpoint is None:
        if folder.is_dir() and is_main_process():
            _set_aside(folder)
        return None
    saved = _open(str(folder))
    _check_same_settings(cfg, saved)
    return Resumed(saved.folder, checkpoint, _as_planned(saved), is_done=is_done(saved.folder))


def _checkpoint_of(folder: Path, cfg: DictConfig) -> Path | None:
    """Return the checkpoint to resume from, the one that the first process found, or None."""
    nodes = cfg.trainer.get("num_nodes", 1)  # an older run does not have it
    checkpoint = agree_on(_CHECKPOINT_VARIABLE, nodes, lambda: str(furthest_valid(folder / record.CHECKPOINTS) or ""))
    return Path(checkpoint) if checkpoint else None


def _set_aside(folder: Path) -> None:
    """Rename the folder of a run without checkpoint, so that a new run can have its name; its files are kept."""
    count = sum(1 for _ in folder.parent.glob(f"{folder.name}.without-checkpoint-*"))
    target = folder.with_name(f"{folder.name}.without-checkpoint-{count + 1}")
    folder.rename(target)
    screen.show(f"No checkpoint in {folder}: starting afresh; what it held is now in {target.name}")


def _check_nothing_beside(cfg: DictConfig) -> None:
    allowed = ("resume=", "debug=", "hydra.", *(f"{key}=" for key in _PLACES))
    others = [override for override in typed_overrides() if not override.startswith(allowed)]
    if others:
        raise UserError(
            f"resume={cfg.resume}",
            found=f"other settings beside it ({', '.join(others)})",
            expected="resume alone: a run goes on with its own configuration",
            fix=command_line("train", setting("resume", cfg.resume)),
        )


def _check_same_settings(cfg: DictConfig, saved: SavedRun) -> None:
    """Check that the settings are those of the run of the same name."""
    wanted, before = _settings(in_folder(pinned(cfg), saved.folder)), _settings(saved.config)
    ignored = {"resume", "run_id", "trainer.micro_batch_size", *_PLACES}
    for key in sorted(wanted.keys() | before.keys()):
        is_planned = wanted.get(key) == "auto" and key.startswith(_COMPUTED)  # the value of the run is kept
        is_place = key in ignored or key.startswith("paths.") or key.endswith(".cache_dir")  # changes no result
        if not is_place and not is_planned and _is_other(key, wanted, before):
            fix = f"set {typed('run_id', free_path(saved.folder).name)}"
            raise UserError(
                key,
                found=f"{wanted.get(key)}, but {before.get(key, 'another')} in the run {cfg.run_id}",
                expected="the settings that the run began with",
                fix=f"set {typed(key, before[key])}, or {fix}" if key in before else f"leave {key} away, or {fix}",
            )


def _is_other(key: str, wanted: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Return whether a setting differs between the command and the run.

    A setting that only one version of the program knows differs if it is typed in the command. A node that is ``null``
    differs from the settings of a node.
    """
    if key in wanted and key in before:
        return wanted[key] != before[key]
    value, others = (wanted[key], before) if key in wanted else (before[key], wanted)
    is_switch = value is None and any(other.startswith(f"{key}.") for other in others)
    return is_switch or any(setting.lstrip("+~").startswith(f"{key}=") for setting in typed_overrides())


def _settings(cfg: DictConfig) -> dict[str, Any]:
    """Return all settings by their full keys; the epochs of the schedule are those that it really takes."""
    settings = _flat(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    max_epochs = settings["trainer.max_epochs"]
    return settings | {
        "trainer.schedule_epochs": min(settings.get("trainer.schedule_epochs") or max_epochs, max_epochs)
    }


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return all settings of nested nodes by their full keys."""
    settings: dict[str, Any] = {}
    for name, value in node.items():
        if isinstance(value, Mapping):
            settings |= _flat(value, f"{prefix}{name}.")
        else:
            settings[f"{prefix}{name}"] = value
    return settings


def _as_planned(saved: SavedRun) -> DictConfig:
    """Return the configuration of a run with the choices of its plan instead of auto.

    A checkpoint counts micro-batches, so their number must stay the same. On another number of devices, a step has as
    many micro-batches per device as before, of another size.
    """
    plan = saved.plan
    places = dict(override.split("=", 1) for override in typed_overrides() if override.startswith(_PLACES))
    chosen: dict[str, Any] = {}
    for name, value in saved.config.trainer.items():
        if f"trainer.{name}" in places:
            chosen[f"trainer.{name}"] = _place(f"trainer.{name}", places[f"trainer.{name}"], plan[name])
        elif value == "auto":
            chosen[f"trainer.{name}"] = plan[name]
    cfg = changed(saved.config, chosen)
    if cfg.trainer.devices != "auto" and cfg.trainer.devices != plan["devices"]:
        processes = cfg.trainer.devices * plan.get("num_nodes", 1)
        rows, rest = divmod(plan["window_size"], processes * plan["accumulation"])
        if rest:
            raise UserError(
                "trainer.devices",
                found=f"{cfg.trainer.devices}, among which {plan['window_size']} rows a step do not divide",
                expected=f"a number of devices that divides {plan['window_size'] // plan['accumulation']}",
                fix=f"set trainer.devices={plan['devices']}, as before",
            )
        return changed(cfg, {"trainer.micro_batch_size": rows})
    return cfg


def _place(key: str, text: str, planned: Any) -> Any:
    """Return a setting of the place where the run resumes, as typed; ``auto`` means the value of the run."""
    if key in ("trainer.accelerator", "trainer.strategy"):
        return text
    least = 1 if key == "trainer.devices" else 0
    if text != "auto" and not (text.isdigit() and int(text) >= least):
        raise UserError(key, found=text, expected=f"a whole number from {least}, or auto", fix=f"set {key}={planned}")
    return planned if text == "auto" else int(text)


def check_same_data(folder: Path, report: Mapping[str, Any]) -> None:
    """Check that the data have not changed: order of rows, class weights and embeddings depend on them.

    Raises:
        UserError: The data are not those of the start of the run.
    """
    before = record.read_json(folder / record.DATA_REPORT)
    if report["fingerprint"] != before.get("fingerprint", report["fingerprint"]):
        raise UserError(
            f"resume={folder}",
            found="other texts, labels or order in the data than when this run stopped",
            expected="the same files",
            fix="bring back the files that config.yaml names, or start a new run",
        )
