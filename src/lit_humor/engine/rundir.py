"""Makes a run folder and writes down what the run is made of."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
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

from lit_humor.core import locks
from lit_humor.core.errors import UserError
from lit_humor.core.remedies import clean_name, free_path, nearest, place_to_write
from lit_humor.engine.validate import looks_secret
from lit_humor.runs import record
from lit_humor.runs.watch import find_run, find_runs

ROOT_DIR = Path(__file__).resolve().parents[3]
_LAUNCHED_VARIABLE = "LIT_HUMOR_LAUNCHED"  # tells them that the first one started them
_LOCK = ".lock"
_HELD: list[TextIO] = []
_LEAST_SECRET = 8  # characters
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


def is_main_process() -> bool:
    """Whether this is the process a user started, not one that DDP started beside it."""
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "RANK", "NODE_RANK"))


def check_launch() -> None:
    """Refuse processes that something else started side by side: each would train, and write, on its own.

    Raises:
        UserError: Something else than torchrun started several.
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
    """Make the folder of a run; two runs never get the same one.

    Args:
        logs_dir: Parent of all run folders.
        run_id: Name asked for; None makes one of prefix, date and a hash.
        prefix: First part of a name made here.

    Raises:
        UserError: The name is taken, or no name for a folder, or the folder cannot be made.
    """
    let_go()  # of a run of that name that was set aside
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
            fix=f"set run_id={free_path(folder).name}, or go on with that run: python src/lit_humor/train.py "
            f"resume={folder}",
        ) from None
    except OSError as error:
        raise _not_writable(logs_dir, error) from None
    hold(folder)
    return folder


def hold(folder: Path) -> None:
    """Keep a run folder for this process until ``let_go``; the system lets go of it where the process is killed.

    Raises:
        UserError: Another process writes to it.
    """
    if not is_main_process():
        return
    file = locks.hold(folder / _LOCK)
    if file is None:
        raise UserError(
            f"run folder {folder}",
            found="another process that trains in it",
            expected="a run that stopped",
            fix=f"python src/lit_humor/stop.py run={folder}, or wait for it",
        )
    _HELD.append(file)


def let_go() -> None:
    """Let others have the run folders that this process held."""
    while _HELD:
        _HELD.pop().close()


def check_room(logs_dir: str | Path, num_bytes: int) -> None:
    """Find out before the work whether a run can be written.

    Raises:
        UserError: The folder cannot be written to, or its disk has too little room.
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
    return f"set paths.logs_dir={place}" if place else "df -h shows the disks: make room on one"


def check_name(key: str, name: str) -> None:
    """Refuse a name that is no plain name of a folder or file.

    Raises:
        UserError: It has other characters than a name has.
    """
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        raise UserError(
            f"{key}={name}",
            found="a name with other characters",
            expected="letters, digits, . _ + -",
            fix=f"set {key}={clean_name(name)}",
        )


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


def write_start(folder: Path, cfg: DictConfig, plan: Mapping[str, Any], initial: Mapping[str, str]) -> None:
    """Write ``config.yaml`` and ``environment.json``; a run that goes on keeps what it began with."""
    found = describe_environment() | {"plan": dict(plan), "initial_weights": dict(initial)}
    if (folder / record.ENVIRONMENT).is_file():
        before = record.read_json(folder / record.ENVIRONMENT)
        found["resumed_by"] = [*before.get("resumed_by", []), found["command"]]
        found |= {name: before[name] for name in ("command", "initial_weights") if name in before}
        found["plan"]["probe"] = before.get("plan", {}).get("probe")  # what was measured when the choice was made
    record.write_json(folder / record.ENVIRONMENT, found)
    record.write_text(
        folder / record.CONFIG, OmegaConf.to_yaml(OmegaConf.create(written_config(cfg)))
    )  # makes it a run


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


def typed_command() -> str:
    """What was typed, without the folders before the command."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def describe_environment() -> dict[str, Any]:
    """Command, commit with uncommitted changes, versions and machine."""
    import torch  # seconds: not for --help and --cfg

    from lit_humor.engine.machine import look_at_machine

    processor, bf16 = torch.cpu.get_capabilities().get("cpu_name") or platform.processor(), look_at_machine().cpu_bf16
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted": _git("diff", "HEAD", "--", ".", ":(exclude)benchmarks"),  # tables change while they are measured
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
