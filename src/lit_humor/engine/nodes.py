"""Shares decisions of the first process with all processes of a run, on all machines."""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch

from lit_humor.core.errors import UserError
from lit_humor.core.place import is_main_process
from lit_humor.engine.hardware import Plan

_PATIENCE = timedelta(minutes=10)
_NEEDED = ("NODE_RANK", "MASTER_ADDR", "MASTER_PORT")


def agree_on(variable: str, num_nodes: int, decide: Callable[[], str]) -> str:
    """Return in every process the value that the first process decides.

    Args:
        variable: Environment variable that passes the value to the processes that this one starts.
        num_nodes: Machines of the run.
        decide: Returns the value; called only in the first process.

    Raises:
        UserError: Another machine did not ask for the value in time.
    """
    if is_main_process():
        os.environ[variable] = decide()
        if _starts_outside():
            _tell(variable, os.environ[variable], int(os.environ.get("WORLD_SIZE", num_nodes)))
    elif variable not in os.environ:
        os.environ[variable] = _store().get(variable).decode()  # waits for it
        _store().add(f"{variable} heard", 1)
    return os.environ[variable]


def check_processes(plan: Plan) -> None:
    """Check that the processes that torchrun or the user started are those of the plan.

    Raises:
        UserError: They are not, or a machine has no number or no address of the first machine.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        if (local, world) != (plan.devices, plan.devices * plan.num_nodes):
            raise UserError(
                "trainer.devices",
                found=f"{plan.devices} on {plan.num_nodes} nodes; torchrun started {world} processes, {local} here",
                expected="a process for each device",
                fix=f"set trainer.devices={local} trainer.num_nodes={world // local}",
            )
    elif int(os.environ.get("NODE_RANK", "0")) >= plan.num_nodes:
        raise UserError(
            "trainer.num_nodes",
            found=f"{plan.num_nodes}, on node number {os.environ['NODE_RANK']}, counted from 0",
            expected="as many as there are",
            fix=f"set trainer=ddp_multinode trainer.num_nodes={int(os.environ['NODE_RANK']) + 1}",
        )
    elif plan.num_nodes > 1 and (missing := [name for name in _NEEDED if name not in os.environ]):
        raise UserError(
            "trainer.num_nodes",
            found=f"{plan.num_nodes}, without {', '.join(missing)} in the environment",
            expected="each node to know its number, and the first one's address and a port that is free there",
            fix=f"on the first node: export NODE_RANK=0 MASTER_ADDR={socket.gethostname()} MASTER_PORT=29500; on the "
            "next the same with NODE_RANK=1; then the same command on each",
        )


def _tell(variable: str, value: str, processes: int) -> None:
    """Send a value to the other machines, and wait until they have it: the store ends with this process."""
    _store().set(variable, value)
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    while (heard := 1 + _store().add(f"{variable} heard", 0)) < processes:
        if time.monotonic() > deadline:
            place = " ".join(f"{name}={os.environ[name]}" for name in ("MASTER_ADDR", "MASTER_PORT"))
            raise UserError(
                "trainer.num_nodes",
                found=f"{heard} of {processes} processes that were started from outside, after {_PATIENCE}",
                expected="all of them",
                fix=f"on each other node: export NODE_RANK=<1, 2, ...> {place}, then the same command",
            )
        time.sleep(0.05)


def _starts_outside() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ or all(name in os.environ for name in _NEEDED)


@functools.cache
def _store() -> Any:
    """Return the dictionary that the first process serves, on the port after that of the training."""
    from torch.distributed import TCPStore

    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]) + 1,
        is_master=is_main_process(),
        timeout=_PATIENCE,
        wait_for_workers=False,
    )


def leave_group() -> None:
    """End the process group in all processes: afterwards the first one works alone, and the others end.

    A metric that is still synchronized over processes would wait for processes that have ended.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
