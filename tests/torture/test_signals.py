"""Signals to any process at any phase: the right exit code, an exact resume, no process left."""

import functools
import json
import signal
from pathlib import Path

import pytest
import torch

from tests.torture.running import ROUNDS, Ended, assert_equal_runs, leftovers, train, train_by_two

PHASES = {"start": 1, "batch": 3, "validation": 2, "save": 30, "before the test": 1, "test": 1}
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1")
ONE = [(name, phase) for name in SIGNALS for phase in PHASES]
TWO = [(name, phase, rank) for name, phase in ONE for rank in (0, 1)]
FAILURES = [
    *((action, event, rank) for action, event in (("raise", "batch"), ("out of memory", "pass")) for rank in (0, 1)),
    ("SIGKILL", "batch", 1),
]
SHORT_TWO = [("SIGTERM", "batch", 1), ("SIGTERM", "before the test", 0), ("SIGUSR1", "test", 0)]


def _arguments(logs: Path, run_id: str, *more: str) -> list[str]:
    return [
        *("debug=tiny", "trainer=cpu", f"paths.logs_dir={logs}", f"run_id={run_id}", "resume=auto"),
        *("trainer.max_epochs=4", "trainer.log_every_n_steps=1", *more),
    ]


def _check(ended: Ended, name: str, folder: Path) -> None:
    assert ended.code == 128 + getattr(signal, name), ended.output
    assert "Interrupted." in ended.output
    assert "Traceback" not in ended.output
    assert ended.left == []
    if (folder / "status.json").is_file():
        assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"


BARE = ("report=false", "baseline=false", "logger.tensorboard=null", "callbacks.confusion=null")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that nothing happens to, without what nobody looks at here."""
    logs = tmp_path_factory.mktemp("logs")
    done = train(logs, *_arguments(logs, "whole", *BARE))
    assert done.code == 0, done.output
    return logs / "whole"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    done = train(logs, *_arguments(logs, "whole"))
    assert done.code == 0, done.output
    return logs / "whole"


@pytest.mark.parametrize(("name", "phase"), ONE if ROUNDS else ONE[::4])
def test_one_process(bare: Path, tmp_path: Path, name: str, phase: str) -> None:
    arguments = _arguments(tmp_path, "run", *BARE)
    asked = train(tmp_path, *arguments, accident={"event": phase, "at": PHASES[phase], "action": name})
    _check(asked, name, tmp_path / "run")
    done = train(tmp_path, *arguments)
    assert done.code == 0, done.output
    assert_equal_runs(tmp_path / "run", bare)
    assert not leftovers(tmp_path / "run")


@pytest.fixture(scope="module")
def undisturbed_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs = tmp_path_factory.mktemp("logs")
    done = train_by_two(*_arguments(logs, "whole"))
    assert done.code == 0, done.output
    return logs / "whole"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "phase", "rank"), TWO if ROUNDS else SHORT_TWO)
def test_two_processes(undisturbed_two: Path, tmp_path: Path, name: str, phase: str, rank: int) -> None:
    if phase == "save" and rank == 1:
        pytest.skip("the second process saves nothing")
    arguments = _arguments(tmp_path, "run")
    accident = {"event": phase, "at": PHASES[phase], "action": name, "rank": rank}
    ended = train_by_two(*arguments, f"trainer.num_workers={2 * rank}", accident=accident)
    _check(ended, name, tmp_path / "run")
    done = train_by_two(*arguments)
    assert done.code == 0, done.output
    assert_equal_runs(tmp_path / "run", undisturbed_two)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("name", SIGNALS if ROUNDS else SIGNALS[:1])
def test_a_signal_to_every_process(
    undisturbed: Path, undisturbed_two: Path, tmp_path: Path, name: str, processes: int
) -> None:
    """Loader processes and what starts them do not answer it."""
    arguments = _arguments(tmp_path, "run")
    accident = {"event": "batch", "at": 3, "action": f"{name} to all"}
    start = train_by_two if processes == 2 else functools.partial(train, tmp_path)
    _check(start(*arguments, "trainer.num_workers=2", accident=accident), name, tmp_path / "run")
    assert start(*arguments).code == 0
    assert_equal_runs(tmp_path / "run", undisturbed_two if processes == 2 else undisturbed)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    """The same rows in the same steps: weights differ by the order of additions alone, where nothing is drawn."""
    still = ("model.network.dropout=0", "model.network.attention_dropout=0")
    whole, arguments = _arguments(tmp_path, "whole", *still), _arguments(tmp_path, "run", *still)
    assert train(tmp_path, *whole).code == 0
    assert train(tmp_path, *arguments, accident={"event": "batch", "at": 9, "action": "SIGTERM"}).code == 143
    done = train_by_two(*arguments)
    assert done.code == 0, done.output
    plan = json.loads((tmp_path / "run" / "environment.json").read_text())["plan"]
    assert (plan["devices"], plan["window_size"]) == (2, 32)
    first, second = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True) for name in ("run", "whole")
    )
    assert first["global_step"] == second["global_step"] == 8
    for name, value in second["state_dict"].items():
        torch.testing.assert_close(first["state_dict"][name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("action", "event", "rank"), FAILURES if ROUNDS else FAILURES[-1:])
def test_a_process_that_fails_ends_all(tmp_path: Path, action: str, event: str, rank: int) -> None:
    accident = {"event": event, "at": 3, "action": action, "rank": rank}
    ended = train_by_two(*_arguments(tmp_path, "run"), accident=accident)
    assert ended.code != 0
    assert ended.left == []
    assert ended.seconds is not None
    assert ended.seconds < 30, ended.output
    if action == "out of memory":
        told = next(line for line in ended.output.splitlines() if line.startswith("Error: memory: found too little"))
        assert "Fix: set trainer.max_tokens=" in told  # others would wait for chunks that never come


def test_a_loader_process_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    accident = {"event": "batch", "at": 3, "action": "kill a loader process"}
    ended = train(tmp_path, *_arguments(tmp_path, "run", "trainer.num_workers=2"), accident=accident, timeout=60)
    assert ended.code == 1, ended.output
    # torch itself shows one of several errors, by the moment: what the user reads is always the same
    assert "Error: trainer.num_workers: found loader process" in ended.output, ended.output
    assert "exit code -9" in ended.output
    assert ended.left == []
