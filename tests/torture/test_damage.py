"""Damaged checkpoints, disks without room, folders without permission: named, and nothing is lost."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tests.torture.running import ROUNDS, assert_equal_runs, train
from tests.torture.test_kill import _arguments


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three checkpoints that was stopped in its third epoch."""
    logs = tmp_path_factory.mktemp("logs")
    ended = train(logs, *_arguments(logs, "run", "periodic"), accident={"event": "batch", "at": 6, "action": "SIGTERM"})
    assert ended.code == 143, ended.output
    return logs / "run"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    assert train(logs, *_arguments(logs, "run", "periodic")).code == 0
    return logs / "run"


def _truncate(path: Path, drawn: random.Random) -> None:
    os.truncate(path, drawn.randrange(1, path.stat().st_size))


def _empty(path: Path, drawn: random.Random) -> None:
    os.truncate(path, 0)


def _scramble(path: Path, drawn: random.Random) -> None:
    path.write_bytes(drawn.randbytes(path.stat().st_size))


def _flip_a_bit(path: Path, drawn: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_truncate, _empty, _scramble, _flip_a_bit])
def test_a_damaged_checkpoint_of_a_moved_run_is_named_and_the_one_before_is_used(
    stopped: Path, undisturbed: Path, tmp_path: Path, damage: object
) -> None:
    drawn = random.Random(2)
    for index in range(5 if ROUNDS else 1):
        logs = tmp_path / str(index)
        shutil.copytree(stopped.parent, logs)
        damage(logs / "run" / "checkpoints" / "last.ckpt", drawn)
        arguments = [
            one.replace(str(stopped.parent), str(logs)) for one in _arguments(stopped.parent, "run", "periodic")
        ]
        done = train(logs, *arguments)
        assert done.code == 0, done.output
        assert f"Passed over: checkpoint {logs}/run/checkpoints/last.ckpt" in done.output
        assert_equal_runs(logs / "run", undisturbed)


def test_every_checkpoint_damaged(stopped: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    shutil.copytree(stopped.parent, logs)
    for path in (logs / "run" / "checkpoints").glob("*.ckpt"):
        os.truncate(path, 100)
    refused = train(logs, f"resume={logs / 'run'}")
    assert refused.code == 1
    assert "no checkpoint in that run that can be read" in refused.output
    assert "Traceback" not in refused.output


def test_sums_are_those_of_sha256sum(undisturbed: Path) -> None:
    folder = undisturbed / "checkpoints"
    for path in folder.glob("*.sha256"):
        subprocess.run(["sha256sum", "--check", "--quiet", path.name], cwd=folder, check=True)
    assert len(list(folder.glob("*.sha256"))) == len(list(folder.glob("*.ckpt"))) == 4


def test_a_pickle_that_runs_code_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    shutil.copytree(undisturbed.parent, tmp_path / "logs")
    for path in (tmp_path / "logs" / "run" / "checkpoints").glob("*"):
        path.unlink()

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch '{marker}'",)

    torch.save({"state_dict": Evil()}, tmp_path / "logs" / "run" / "checkpoints" / "last.ckpt")
    ended = train(tmp_path, f"resume={tmp_path / 'logs' / 'run' / 'checkpoints' / 'last.ckpt'}")
    assert ended.code == 1
    assert "found no checkpoint" in ended.output
    assert not marker.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A disk of 1 MiB, where this process may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no right to mount a disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_with_the_cause(small_disk: Path) -> None:
    arguments = [
        "model=tiny",
        "data=tiny",
        f"paths.logs_dir={small_disk}",
        "run_id=run",
        "report=false",
        "baseline=false",
    ]
    (small_disk / "filler").write_bytes(b"0" * (1024 * 1024 - 200 * 1024))
    ended = train(small_disk.parent, *arguments, "logger.tensorboard=null")
    assert ended.code == 1
    assert "Traceback" not in ended.output
    assert "No space left" in ended.output or "MiB free on the disk" in ended.output
    (small_disk / "filler").unlink()


def test_no_permission_and_no_room_are_told_before_the_model_loads(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    ended = train(tmp_path, "model=tiny", "data=tiny", f"paths.logs_dir={tmp_path / 'file' / 'logs'}")
    assert ended.code == 1
    assert "paths.logs_dir: found" in ended.output
    assert "Hardware plan" not in ended.output


def test_two_trainings_never_share_a_folder(stopped: Path) -> None:
    import fcntl

    with (stopped / ".lock").open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        ended = train(stopped.parent, f"resume={stopped}")
    assert ended.code == 1
    assert "another process that trains in it" in ended.output
