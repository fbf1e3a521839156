"""Several processes decide together at the same step, without a wait at each."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from lit_humor.callbacks import agreement
from lit_humor.callbacks.agreement import Agreement
from lit_humor.engine.empty_hooks import EVERY_STEP, NoProfiler, leave_out_empty_hooks

_ASKED_AT_STEP = 1500


class _Processes:
    """Two processes in step: ``reduce`` waits for both, and fails where one of them does not ask."""

    def __init__(self) -> None:
        self.barrier, self.sent, self.questions = threading.Barrier(2, timeout=5), {}, 0

    def trainer(self, rank: int) -> Any:
        def reduce(own: torch.Tensor, reduce_op: str) -> torch.Tensor:
            assert reduce_op == "max"
            self.sent[rank] = own
            self.barrier.wait()
            largest = torch.maximum(*self.sent.values())
            self.barrier.wait()
            self.questions += rank == 0
            return largest

        strategy = SimpleNamespace(root_device="cpu", reduce=reduce)
        return SimpleNamespace(world_size=2, strategy=strategy)


def _stop(processes: _Processes, rank: int, step_seconds: list[float], clock: threading.local) -> int:
    """The step after which a process stops; the second one is asked to."""
    clock.now = 0.0
    asking, trainer = Agreement(seconds=2.0), processes.trainer(rank)
    for step in range(_ASKED_AT_STEP + 1000):
        clock.now += step_seconds[rank]
        if asking.ask(trainer, 15 * (rank == 1 and step >= _ASKED_AT_STEP)) == 15:
            return step
    return -1


@pytest.mark.parametrize("step_seconds", [[0.01, 0.01], [0.01, 0.013], [0.5, 0.4], [3.0, 3.0]])
def test_a_stop_comes_at_the_same_step_and_within_two_seconds(
    monkeypatch: pytest.MonkeyPatch, step_seconds: list[float]
) -> None:
    clock = threading.local()
    monkeypatch.setattr(agreement.time, "monotonic", lambda: clock.now)
    processes = _Processes()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda rank: _stop(processes, rank, step_seconds, clock), (0, 1))
    assert first == second >= _ASKED_AT_STEP
    slowest = max(step_seconds)
    assert (first - _ASKED_AT_STEP) * slowest <= 2.0
    assert processes.questions <= first * slowest / 2.0 + 12 or slowest > 1, "not a question at every step"


def test_one_process_stops_at_once() -> None:
    trainer: Any = SimpleNamespace(world_size=1)
    assert [Agreement().ask(trainer, number) for number in (0, 15)] == [0, 15]


def test_hooks_that_do_nothing_are_left_out_and_the_others_stay() -> None:
    class Counts(pl.Callback):
        def on_train_batch_end(self, *args: object) -> None:
            """Is called."""

    callback = Counts()
    leave_out_empty_hooks([callback])
    assert [name for name in EVERY_STEP if callable(getattr(callback, name))] == ["on_train_batch_end"]
    assert callable(callback.on_train_start)
    with NoProfiler().profile("one"), NoProfiler().profile("other"):
        pass
