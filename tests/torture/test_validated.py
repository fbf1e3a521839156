"""Runs that are validated within an epoch too, and that are interrupted around such a validation."""

import signal
from pathlib import Path

import pytest

from tests.torture.running import _rows, assert_equal_runs, train, train_by_two

BARE = ("report=false", "baseline=false", "logger.tensorboard=null", "callbacks.confusion=null")
EVERY = (
    *("trainer=cpu", "trainer.max_epochs=2", "trainer.micro_batch_size=4", "data.batch_size=4"),
    *("trainer.accumulation=2", "trainer.validate_every_steps=4", "trainer.checkpoint_every=2", "trainer.keep=9"),
)


def _arguments(logs: Path, name: str, *more: str) -> list[str]:
    return ["debug=tiny", *EVERY, f"paths.logs_dir={logs}", f"paths.cache_dir={logs}/cache", f"run_id={name}", *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never interrupted."""
    logs = tmp_path_factory.mktemp("logs")
    done = train(logs, *_arguments(logs, "whole", *BARE))
    assert done.code == 0, done.output
    return logs / "whole"


def _validated(run: Path) -> list[int]:
    return sorted(int(row["step"]) + 1 for row in _rows(run) if "train/loss" in row)


def test_validations_are_those_asked_for(whole: Path) -> None:
    """48 rows in steps of 8: an epoch has 6, which 4 does not divide."""
    assert _validated(whole) == [4, 6, 8, 12]
    names = {path.name for path in (whole / "checkpoints").glob("step-*.ckpt")}
    assert names == {f"step-{step}.ckpt" for step in (2, 4, 8, 10)}, "those of the end of an epoch are last.ckpt"


@pytest.mark.parametrize(
    ("event", "at", "told"),
    [
        ("stepped", 8, "from step 4, saved in last.ckpt"),  # the validation of this step comes first
        ("validation", 1, "from step 4, saved in last.ckpt"),
        ("batch", 9, "from step 5, saved in last.ckpt"),
    ],
)
def test_an_interrupted_run_goes_on_after_the_validation(
    whole: Path, tmp_path: Path, event: str, at: int, told: str
) -> None:
    arguments = _arguments(tmp_path, "run", *BARE, "resume=auto")
    accident = {"event": event, "at": at, "action": "SIGTERM"}
    assert train(tmp_path, *arguments, accident=accident).code == 128 + signal.SIGTERM
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert f"Going on {told}" in done.output
    assert_equal_runs(tmp_path / "run", whole)
    assert _validated(tmp_path / "run") == _validated(whole), "each once"


@pytest.mark.parametrize(
    ("event", "at", "step"),
    [
        ("validation", 1, 2),  # the one of step 4
        ("batch", 9, 4),
        ("validation", 3, 6),  # the one of step 8
        ("batch", 17, 8),
    ],
)
def test_a_killed_run_goes_on_and_ends_the_same(whole: Path, tmp_path: Path, event: str, at: int, step: int) -> None:
    arguments = _arguments(tmp_path, "run", *BARE, "resume=auto")
    killed = train(tmp_path, *arguments, accident={"event": event, "at": at, "action": "SIGKILL"})
    assert killed.code == -signal.SIGKILL, killed.output
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert f"Going on from step {step}, " in done.output
    assert_equal_runs(tmp_path / "run", whole)


@pytest.mark.parametrize("name", ["best.ckpt", "step-4.ckpt"])
def test_any_checkpoint_of_a_validated_step_is_resumed_exactly(whole: Path, tmp_path: Path, name: str) -> None:
    """The best one is saved first, at the same step; here the only one left of it."""
    arguments = _arguments(tmp_path, "run", *BARE, "resume=auto")
    killed = train(tmp_path, *arguments, accident={"event": "batch", "at": 9, "action": "SIGKILL"})
    assert killed.code == -signal.SIGKILL, killed.output
    for path in (tmp_path / "run" / "checkpoints").glob("*.ckpt*"):
        if not path.name.startswith((name, "best.ckpt")):
            path.unlink()
    if name != "best.ckpt":
        step = train(tmp_path, f"resume={tmp_path / 'run' / 'checkpoints' / name}")
    else:
        step = train(tmp_path, *arguments)
    assert step.code == 0, step.output
    assert f"Going on from step 4, saved in {name}" in step.output
    assert_equal_runs(tmp_path / "run", whole)


@pytest.mark.slow
def test_two_processes_are_validated_at_the_same_steps_and_go_on(tmp_path: Path) -> None:
    small = "trainer.micro_batch_size=2"  # two micro-batches a step in each process
    assert train_by_two(*_arguments(tmp_path, "whole", small)).code == 0
    assert _validated(tmp_path / "whole") == [4, 6, 8, 12]
    arguments = _arguments(tmp_path, "run", small)
    stopped = train_by_two(*arguments, accident={"event": "validation", "at": 1, "action": "SIGTERM"})
    assert stopped.code == 128 + signal.SIGTERM, stopped.output
    done = train_by_two(f"resume={tmp_path / 'run' / 'checkpoints' / 'step-4.ckpt'}")  # they stop a few steps later
    assert done.code == 0, done.output
    assert "Going on from step 4, saved in step-4.ckpt" in done.output
    assert_equal_runs(tmp_path / "run", tmp_path / "whole")
