"""A remedy with a path in it is typed into a shell as it is printed, whatever characters the path has."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from omegaconf import OmegaConf

from lit_humor.config.saved import no_run
from lit_humor.core import locks
from lit_humor.core.errors import UserError
from lit_humor.engine import rundir
from lit_humor.engine.checkpoints import _damaged
from lit_humor.inference.parts import Parts, check_target
from lit_humor.reporting.report import report
from lit_humor.runs import record

NAME = 'it\'s a "place" $HOME'


def _taken(folder: Path) -> None:
    for _ in range(2):
        rundir.create_run_dir(folder, "run", "x")


def _held(folder: Path) -> None:
    with mock.patch.object(locks, "hold", return_value=None):
        rundir.hold(folder)


def _parts_of_others(folder: Path) -> None:
    del Parts(folder / "out.csv", {"from": "one"})._lock
    Parts(folder / "out.csv", {"from": "another"})


def _parts_in_the_making(folder: Path) -> None:
    with mock.patch.object(locks, "hold", return_value=None):
        Parts(folder / "out.csv", {})


def _no_run(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / record.CONFIG).write_text("{}")
    (folder / "run" / record.ENVIRONMENT).write_text("{}")
    raise no_run(folder)


def _damaged_checkpoint(folder: Path) -> None:
    raise _damaged(folder / "last.ckpt", "nothing")


def _there_already(folder: Path) -> None:
    (folder / "out.csv").touch()
    check_target(folder / "out.csv")


MADE: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "taken": (_taken, ["resume=FOLDER/run"]),
    "held": (_held, ["run=FOLDER,"]),
    "parts of others": (_parts_of_others, ["rm", "-r", "FOLDER/out.csv.parts"]),
    "parts in the making": (_parts_in_the_making, ["output=FOLDER/out-2.csv"]),
    "no run": (_no_run, ["run=FOLDER/run"]),
    "a damaged checkpoint": (_damaged_checkpoint, ["ls", "FOLDER"]),
    "there already": (_there_already, ["output=FOLDER/out-2.csv,"]),
    "an ending of none": (lambda folder: check_target(folder / "out.xls"), ["output=FOLDER/out.csv"]),
    "a page": (
        lambda folder: report(OmegaConf.create({"run": str(folder), "output": str(folder / "a.html")})),
        ["cp", "FOLDER/report.html", "FOLDER/a.html"],
    ),
}


@pytest.mark.parametrize("case", MADE)
def test_a_path_reaches_the_command_as_it_is(tmp_path: Path, case: str) -> None:
    make, words = MADE[case]
    folder = tmp_path / NAME
    folder.mkdir()
    try:
        with pytest.raises(UserError) as caught:
            make(folder)
    finally:
        rundir.let_go()
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {caught.value.fix}"], capture_output=True, text=True, check=True
    )
    typed = done.stdout.split("\0")
    for word in words:
        assert word.replace("FOLDER", str(folder)) in typed


def test_the_command_removes_the_parts(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    with pytest.raises(UserError) as caught:
        _parts_of_others(folder)
    subprocess.run(["bash", "-c", caught.value.fix], check=True)
    Parts(folder / "out.csv", {"from": "another"})
    shutil.rmtree(folder)
