"""kill -9 at any moment: the resumed run equals the undisturbed one, bit by bit."""

import os
import random
import signal
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from lit_humor.engine.checkpoints import read_checkpoint
from tests.torture.child import EVENTS, find
from tests.torture.running import ROUNDS, assert_equal_runs, leftovers, train

SETTINGS = {
    "plain": (),
    "workers": ("trainer.num_workers=2",),
    "accumulated": ("trainer.micro_batch_size=8",),
    "ungrouped": ("data.length_grouped=false", "trainer.micro_batch_size=8"),
    "periodic": ("trainer.checkpoint_every=1", "trainer.keep=2"),
}
MOMENTS = {
    "batch": 24,
    "stepped": 24,
    "validation": 4,
    "epoch end": 4,
    "save": 400,
    "swap": 60,
    "logging": 20,
    "test": 2,
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_accident_has_a_function_that_it_meets(event: str) -> None:
    owner, name = find(EVENTS[event])
    assert callable(getattr(owner, name))


def _arguments(logs: Path, run_id: str, name: str) -> list[str]:
    return [
        *("debug=tiny", f"paths.logs_dir={logs}", f"run_id={run_id}", "resume=auto", "report=false", "baseline=false"),
        *("trainer.max_epochs=4", "logger.tensorboard=null", "trainer.log_every_n_steps=1", *SETTINGS[name]),
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A finished run of a setting."""
    logs = tmp_path_factory.mktemp("logs")

    @cache
    def finish(name: str) -> Path:
        done = train(logs, *_arguments(logs, name, name))
        assert done.code == 0, done.output
        return logs / name

    return finish


@pytest.fixture
def other_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder for temporary files on another file system than the runs."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("no second file system to write to")
    monkeypatch.setenv("TMPDIR", str(memory))


def test_forty_kills(undisturbed: Callable[[str], Path], tmp_path: Path) -> None:
    _kill(undisturbed, tmp_path, list(MOMENTS), ROUNDS or 2)


def test_forty_kills_into_writing(undisturbed: Callable[[str], Path], tmp_path: Path, other_disk: None) -> None:
    _kill(undisturbed, tmp_path, ["save", "swap"], ROUNDS or 1)


def _kill(undisturbed: Callable[[str], Path], tmp_path: Path, moments: list[str], rounds: int) -> None:
    """Each at another moment, drawn from a seed; the same command goes on until the run is done."""
    drawn = random.Random(1)
    happened = 0
    for index in range(rounds):
        name = list(SETTINGS)[index % len(SETTINGS)]
        event = moments[index % len(moments)]
        accident = {"event": event, "at": drawn.randint(1, MOMENTS[event]), "action": "SIGKILL"}
        arguments = _arguments(tmp_path, f"run-{index}", name)
        killed = train(tmp_path, *arguments, accident=accident)
        assert killed.code in (0, -signal.SIGKILL), killed.output
        assert killed.left == [], "loader processes and their server end with the training"
        happened += killed.code != 0
        for path in (tmp_path / f"run-{index}" / "checkpoints").glob("*.ckpt"):
            read_checkpoint(path)  # whole, and its checksum matches
        done = train(tmp_path, *arguments)
        assert done.code == 0, (accident, done.output)
        assert_equal_runs(tmp_path / f"run-{index}", undisturbed(name))
        assert not leftovers(tmp_path / f"run-{index}")
    print(f"{happened} of {rounds} runs were killed; {rounds} of {rounds} ended equal to the undisturbed one (seed 1)")
    assert happened >= rounds / 2
