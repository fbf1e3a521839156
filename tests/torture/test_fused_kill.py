"""kill -9 of a training on pictures: the resumed run equals the undisturbed one, bit by bit."""

import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.torture.running import ROUNDS, assert_equal_runs, leftovers, train

ACCIDENTS = {
    "within a step": ("batch", 3),
    "while it is validated": ("validation", 2),
    "while it is saved": ("save", 40),
    "while answers are written": ("test", 1),
    "with loader processes": ("batch", 4),
}
MORE = {"with loader processes": ("trainer.num_workers=2",)}


def _arguments(logs: Path, run_id: str, *more: str) -> list[str]:
    """Steps of 16 rows in micro-batches of 2, with dropout, validated within an epoch too."""
    return [
        *("experiment=dimtda", "debug=tiny", "trainer=cpu", "trainer.accumulation=8", "trainer.validate_every_steps=2"),
        *("resume=auto", "report=false", "baseline=false", "logger.tensorboard=null", f"run_id={run_id}"),
        *(f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache", *more),
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A finished run of a setting."""
    logs = tmp_path_factory.mktemp("logs")

    @cache
    def finish(*more: str) -> Path:
        done = train(logs, *_arguments(logs, f"run-{len(more)}", *more))
        assert done.code == 0, done.output
        return logs / f"run-{len(more)}"

    return finish


@pytest.mark.slow
@pytest.mark.parametrize("name", ACCIDENTS if ROUNDS else list(ACCIDENTS)[:3])
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    undisturbed: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    event, at = ACCIDENTS[name]
    arguments = _arguments(tmp_path, "run", *MORE.get(name, ()))
    killed = train(tmp_path, *arguments, accident={"event": event, "at": at, "action": "SIGKILL"})
    assert killed.code == -signal.SIGKILL, killed.output
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert_equal_runs(tmp_path / "run", undisturbed(*MORE.get(name, ())))
    assert not leftovers(tmp_path / "run")
