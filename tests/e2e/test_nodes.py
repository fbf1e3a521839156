"""One run on several machines: here each is a process of its own, as two machines would start it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from lit_humor.core.errors import UserError
from lit_humor.engine.hardware import make_plan
from lit_humor.engine.machine import Machine
from lit_humor.engine.nodes import check_processes
from tests.e2e.test_bad_input import assert_one_message
from tests.e2e.typed import ENVIRONMENT, Started, Typed, free_port, result_of, start, typed


def _arguments(folder: Path, name: str) -> list[str]:
    return [
        *("debug=tiny", "trainer.accelerator=cpu", "trainer.precision=32-true"),
        *(f"paths.logs_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}", f"run_id={name}"),
        "trainer.micro_batch_size=4",
    ]


def _check_equal(folder: Path, name: str) -> None:
    assert typed("train", *_arguments(folder, "plain"), "trainer.devices=2").returncode == 0
    found, plain = (result_of(folder / "logs" / one) for one in (name, "plain"))
    assert found["steps"] == plain["steps"]
    for split in ("val", "test"):
        assert found["results"][split]["confusion"] == plain["results"][split]["confusion"]
        assert found["results"][split]["auroc"] == pytest.approx(plain["results"][split]["auroc"], abs=1e-6)


def _start_nodes(folder: Path, *more: str) -> list[Typed]:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    arguments = (*_arguments(folder, "nodes"), "trainer.num_nodes=2", "trainer.devices=1", *more)
    processes = [start("train", *arguments, **place, NODE_RANK=str(rank)) for rank in (1, 0)]
    return [process.ended() for process in processes]


def test_two_nodes_train_as_two_devices_do_and_go_on_together(tmp_path: Path) -> None:
    second, first = _start_nodes(tmp_path)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "Run folder" in first.stdout
    assert second.stdout == ""
    _check_equal(tmp_path, "nodes")
    for again in _start_nodes(tmp_path, "resume=auto"):
        assert again.returncode == 0, again.stderr


def test_the_first_node_waits_until_the_others_know(tmp_path: Path) -> None:
    """It may have nothing else to do: a run that is done already, and a second node that comes late."""
    script = tmp_path / "agree.py"
    script.write_text(
        "from lit_humor.engine.nodes import agree_on\nprint(agree_on('WHAT', 2, lambda: 'this'), flush=True)"
    )
    port = free_port()
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}

    def begin(rank: int) -> Started:
        environment = os.environ | ENVIRONMENT | place | {"NODE_RANK": str(rank)}
        return Started([sys.executable, str(script)], tmp_path, environment, None)

    first = begin(0)
    TCPStore("127.0.0.1", port + 1, is_master=False).wait(["WHAT"])  # it has decided
    with pytest.raises(subprocess.TimeoutExpired):
        first.wait(1)
    second = begin(1)
    assert [process.ended(60).stdout for process in (first, second)] == ["this\n", "this\n"]


def test_nodes_that_do_not_know_each_other(tmp_path: Path) -> None:
    arguments = ("model=tiny", "data=tiny", f"paths.logs_dir={tmp_path / 'logs'}", "trainer.devices=1")
    done = typed("train", *arguments, "trainer.num_nodes=2")
    assert_one_message(done, "trainer.num_nodes: found 2, without NODE_RANK, MASTER_ADDR, MASTER_PORT")
    assert_one_message(typed("train", *arguments, "trainer.num_nodes=0"), "trainer.num_nodes: found 0")


def test_a_node_beyond_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_RANK", "1")
    with pytest.raises(UserError, match=r"trainer\.num_nodes: found 1, on node number 1"):
        check_processes(make_plan({"accelerator": "cpu", "accumulation": 8, "devices": 1}, 8, 0, Machine()))


def test_torchrun_with_other_processes_than_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", "4"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    wanted = {"accelerator": "cpu", "accumulation": 8, "devices": 2}
    with pytest.raises(
        UserError, match=r"trainer\.devices: found 2 on 1 nodes; .* trainer\.devices=4 trainer\.num_nodes=2"
    ):
        check_processes(make_plan(wanted, 8, 0, Machine()))
    check_processes(make_plan(wanted | {"devices": 4, "num_nodes": 2}, 8, 0, Machine()))


def test_a_step_keeps_its_rows_on_several_nodes() -> None:
    wanted = {"accelerator": "cpu", "accumulation": 4, "devices": 2}
    alone, together = (make_plan(wanted | {"num_nodes": nodes}, 8, 0, Machine()) for nodes in (1, 4))
    assert (alone.global_batch_size, alone.micro_batch_size) == (32, 16)
    assert (together.global_batch_size, together.micro_batch_size) == (32, 4)
    assert together.trainer_arguments()["num_nodes"] == 4
