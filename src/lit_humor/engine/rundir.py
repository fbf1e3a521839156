"""Makes a run folder and records configuration, code and machine of the run."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from omegaconf import DictConfig, OmegaConf

from lit_humor.config.saved import written_config
from lit_humor.core import locks
from lit_humor.core.errors import UserError
from lit_humor.core.place import ROOT_DIR, is_main_process
from lit_humor.core.remedies import free_path, place_to_write
from lit_humor.core.settings import check_name, command_line, setting, typed
from lit_humor.runs import record

_LAUNCHED_VARIABLE = "LIT_HUMOR_LAUNCHED"  # set for processes that the first process starts
_LOCK = ".lock"
_HELD: list[TextIO] = []
_PACKAGES = (
    "torch",
    "lightning",
    "transformers",
    "torchmetrics",
    "hydra-core",
    "tokenizers",
    "numpy",
    "scikit-learn",
)


def check_launch() -> None:
    """Check that no other program started several processes, which would train independently of each other.

    Raises:
        UserError: A program other than torchrun started several.
    """
    if _LAUNCHED_VARIABLE in os.environ or "TORCHELASTIC_RUN_ID" in os.environ:
        return
    os.environ[_LAUNCHED_VARIABLE] = "1"
    for name in ("WORLD_SIZE", "SLURM_NTASKS"):
        count = os.environ.get(name, "1")
        if count != "1":
            script = " ".join(["src/lit_humor/train.py", *sys.argv[1:]])
            raise UserError(
                name,
                found=f"{count} processes, started from outside",
                expected="one process, which starts the others itself",
                fix=f"unset {name} and set trainer.devices={count}, or torchrun --nproc-per-node={count} {script} "
                "(under SLURM: srun --ntasks-per-node=1)",
            )


def create_run_dir(logs_dir: str | Path, run_id: str | None, prefix: str) -> Path:
    """Make the folder of a run; two runs never get the same folder.

    Args:
        logs_dir: Parent of all run folders.
        run_id: Name of the folder; None makes a name of prefix, date and a hash.
        prefix: First part of the name that is made.

    Raises:
        UserError: The name is taken or not valid, or the folder cannot be made.
    """
    let_go()  # the lock of a run of this name that was renamed
    if run_id is not None:
        check_name("run_id", run_id)
    unique = hashlib.sha256(f"{time.time_ns()}/{os.getpid()}/{platform.node()}".encode()).hexdigest()[:6]
    folder = Path(logs_dir) / (run_id or f"{prefix}-{time.strftime('%Y%m%d-%H%M%S')}-{unique}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(
            f"run_id={run_id}",
            found=f"a run folder {folder} that is there already",
            expected="a new name",
            fix=f"set run_id={free_path(folder).name}, or go on with that run: "
            + command_line("train", setting("resume", str(folder))),
        ) from None
    except OSError as error:
        raise _not_writable(logs_dir, error) from None
    hold(folder)
    return folder


def hold(folder: Path) -> None:
    """Lock a run folder for this process until ``let_go``; if the process is killed, the system unlocks it.

    Raises:
        UserError: Another process has locked it.
    """
    if not is_main_process():
        return
    file = locks.hold(folder / _LOCK)
    if file is None:
        raise UserError(
            f"run folder {folder}",
            found="another process that trains in it",
            expected="a run that stopped",
            fix=f"{command_line('stop', setting('run', str(folder)))}, or wait for it",
        )
    _HELD.append(file)


def let_go() -> None:
    """Unlock the run folders that this process has locked."""
    while _HELD:
        _HELD.pop().close()


def check_room(logs_dir: str | Path, num_bytes: int) -> None:
    """Check that a folder for runs can be written to and has enough space.

    Args:
        logs_dir: Parent of all run folders.
        num_bytes: Free bytes that a run needs.

    Raises:
        UserError: The folder cannot be written to, or its disk has too little space.
    """
    folder = Path(logs_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _not_writable(logs_dir, error) from None
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UserError(
            "paths.logs_dir",
            found=f"{free / 2**20:,.0f} MiB free on the disk of {logs_dir}",
            expected=f"{num_bytes / 2**20:,.0f} MiB, for checkpoints of this model",
            fix=_another_place(num_bytes),
        )


def _not_writable(logs_dir: str | Path, error: OSError) -> UserError:
    found = f"{logs_dir} ({error.strerror})"
    return UserError("paths.logs_dir", found=found, expected="a folder to write to", fix=_another_place(0))


def _another_place(num_bytes: int) -> str:
    place = place_to_write(num_bytes)
    return f"set {typed('paths.logs_dir', str(place))}" if place else "df -h shows the disks: make room on one"


def write_start(folder: Path, cfg: DictConfig, plan: Mapping[str, Any], initial: Mapping[str, str]) -> None:
    """Write ``config.yaml`` and ``environment.json``; a resumed run keeps its first command and initial weights."""
    environment = describe_environment() | {"plan": dict(plan), "initial_weights": dict(initial)}
    if (folder / record.ENVIRONMENT).is_file():
        before = record.read_json(folder / record.ENVIRONMENT)
        environment["resumed_by"] = [*before.get("resumed_by", []), environment["command"]]
        environment |= {name: before[name] for name in ("command", "initial_weights") if name in before}
        environment["plan"]["probe"] = before.get("plan", {}).get("probe")  # the measurement that decided the precision
    record.write_json(folder / record.ENVIRONMENT, environment)
    record.write_text(
        folder / record.CONFIG, OmegaConf.to_yaml(OmegaConf.create(written_config(cfg)))
    )  # a folder with this file is a run


def describe_environment() -> dict[str, Any]:
    """Return command, commit with uncommitted changes, versions and machine."""
    import torch  # takes seconds, which --help and --cfg need not wait

    from lit_humor.engine.machine import look_at_machine

    processor, bf16 = torch.cpu.get_capabilities().get("cpu_name") or platform.processor(), look_at_machine().cpu_bf16
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": _git(
            "diff", "HEAD", "--", ".", ":(exclude)benchmarks"
        ),  # bench.py changes these files while it measures
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "machine": {
            "system": platform.platform(),
            "processor": f"{processor} ({bf16})" if bf16 else processor,
            "threads": torch.get_num_threads(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        },
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT_DIR, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
