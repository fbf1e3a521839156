from dataclasses import replace
from typing import Any

import pytest
import torch

from lit_humor.core.errors import UserError
from lit_humor.core.precision import PRECISIONS, Precision
from lit_humor.engine.hardware import Plan, make_plan
from lit_humor.engine.machine import Machine, look_at_machine

AUTO = dict.fromkeys(
    ("accelerator", "devices", "precision", "micro_batch_size", "max_tokens", "num_workers", "attention", "compile"),
    "auto",
) | {"accumulation": 4}
GIB = 2**30
AMPERE = {"gpu_bf16": True, "gpu_memory_bytes": 80 * GIB}


def _plan(machine: Machine, **wanted: Any) -> Plan:
    return make_plan(AUTO | wanted, batch_size=8, num_workers=4, machine=machine)


@pytest.mark.parametrize(
    ("machine", "accelerator", "precision"),
    [
        (Machine(num_cores=2), "cpu", "32-true"),
        (Machine(num_cores=2, cpu_bf16="amx_bf16"), "cpu", "32-true"),  # nothing was measured; see test_probing.py
        (Machine(num_cores=8, cpu_bf16="amx_bf16", gpu_names=("V100",), gpu_memory_bytes=16 * GIB), "gpu", "16-mixed"),
        (Machine(num_cores=8, gpu_names=("A100",), **AMPERE), "gpu", "bf16-mixed"),
        (Machine(num_cores=8, has_mps=True), "mps", "32-true"),
    ],
)
def test_precision_is_what_the_silicon_has(machine: Machine, accelerator: str, precision: str) -> None:
    plan = _plan(machine)
    assert (plan.accelerator, plan.precision) == (accelerator, precision)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("memory", [16 * GIB, 80 * GIB])
def test_effective_batch_is_kept_on_any_number_of_devices(count: int, memory: int) -> None:
    plan = _plan(Machine(num_cores=16, gpu_names=("A100",) * count, gpu_bf16=True, gpu_memory_bytes=memory))
    assert plan.global_batch_size == 32
    assert plan.devices == (2 if count == 3 else count), "three devices cannot share 32 rows"
    assert plan.micro_batch_size == 32 // plan.devices
    assert plan.max_tokens == 8 * 128 * (4 if memory > 40 * GIB else 1)


def test_fixed_batches_follow_the_recipe() -> None:
    for devices, accumulation in ((1, 4), (2, 2), (4, 1)):
        machine = Machine(num_cores=16, gpu_names=("A100",) * 4, **AMPERE)
        plan = _plan(machine, devices=devices, micro_batch_size=8)
        assert (plan.micro_batch_size, plan.accumulation, plan.global_batch_size) == (8, accumulation, 32)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [("devices", 1), ("max_tokens", 4096), ("precision", "16-mixed"), ("compile", True)],
)
def test_fsdp_refuses_what_would_wait_for_ever_or_was_never_tried(setting: str, wanted: Any) -> None:
    fits = {"strategy": "fsdp", "devices": 2, "max_tokens": None}
    machine = Machine(num_cores=8, gpu_names=("A100",) * 2, **AMPERE)
    assert _plan(machine, **fits).trainer_arguments()["strategy"].num_processes == 0, "no process before the launch"
    with pytest.raises(UserError, match=rf"trainer\.{setting}: found {wanted} under fsdp"):
        _plan(machine, **(fits | {setting: wanted}))


def test_auto_bounds_the_tokens_of_a_pass_however_large_a_step_is() -> None:
    h200 = Machine(gpu_names=("H200",), gpu_bf16=True, gpu_memory_bytes=139 * GIB)
    small = Machine(gpu_names=("T4",), gpu_memory_bytes=16 * GIB)
    for machine, most in ((Machine(), 2048), (small, 1024), (h200, 4096)):
        plan = _plan(machine, accumulation=64)
        assert (plan.micro_batch_size, plan.accumulation, plan.global_batch_size) == (512, 1, 512)
        assert plan.max_tokens == most
    assert _plan(Machine(), max_tokens=None).max_tokens is None


def test_auto_finds_a_micro_batch_that_divides() -> None:
    small = Machine(num_cores=8, gpu_names=("T4", "T4"), gpu_memory_bytes=16 * GIB)
    plan = make_plan(AUTO | {"accumulation": 3}, batch_size=8, num_workers=4, machine=small)
    assert plan.global_batch_size == 24
    plan = make_plan(AUTO | {"accumulation": 1, "devices": 2}, batch_size=8, num_workers=4, machine=small)
    assert (plan.micro_batch_size, plan.global_batch_size) == (4, 8)


def test_every_choice_has_a_reason_and_can_be_set() -> None:
    wanted = {
        "accelerator": "cpu", "devices": 2, "precision": "32-true", "micro_batch_size": 4, "max_tokens": 600,
        "num_workers": 3, "attention": "eager", "compile": True,
    }  # fmt: skip
    automatic, fixed = _plan(Machine(num_cores=2)), _plan(Machine(num_cores=2), **wanted)
    values = fixed.to_dict()
    for name, value in wanted.items():
        assert automatic.reasons[name]
        assert values[name] == value
        assert fixed.reasons[name] == f"set by trainer.{name}"


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        ({"micro_batch_size": 5}, "trainer.micro_batch_size"),
        ({"micro_batch_size": 0}, "trainer.micro_batch_size"),
        ({"max_tokens": 0}, "trainer.max_tokens"),
        ({"max_tokens": "few"}, "trainer.max_tokens"),
        ({"devices": 3, "accelerator": "cpu"}, "trainer.micro_batch_size"),
        ({"accelerator": "gpu"}, "trainer.accelerator"),
        ({"accelerator": "tpu"}, "trainer.accelerator"),
        ({"devices": 0}, "trainer.devices"),
        ({"precision": "fp8"}, "trainer.precision"),
        ({"devices": "two"}, "trainer.devices"),
        ({"num_workers": "many"}, "trainer.num_workers"),
        ({"compile": "maybe"}, "trainer.compile"),
        ({"attention": "flash"}, "trainer.attention"),
    ],
)
def test_impossible_wishes_name_their_key(wanted: dict, key: str) -> None:
    with pytest.raises(UserError, match=key):
        _plan(Machine(num_cores=2), **wanted)


def test_a_precision_is_a_row_of_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"found nf4, expected auto or one of 32-true, bf16-mixed, 16-mixed\. Fix"):
        _plan(Machine(), precision="nf4")
    added = {name: Precision(name=name, computes_in="bfloat16", passed_on="bf16-true") for name in ("nf4", "fp8")}
    added["fp8"] = replace(added["fp8"], scales_loss=True)
    for name, row in added.items():
        monkeypatch.setitem(PRECISIONS, name, row)
    plan = _plan(Machine(), precision="nf4")
    assert (plan.precision, plan.trainer_arguments()["precision"]) == ("nf4", "bf16-true")
    machine, fsdp = Machine(gpu_names=("A100",) * 2, **AMPERE), {"strategy": "fsdp", "devices": 2, "max_tokens": None}
    assert _plan(machine, precision="nf4", **fsdp).strategy == "fsdp"
    with pytest.raises(UserError, match=r"found fp8 under fsdp, expected nf4 or bf16-mixed or 32-true"):
        _plan(machine, precision="fp8", **fsdp)


def test_this_machine_can_be_planned_for() -> None:
    machine = look_at_machine()
    plan = _plan(machine)
    assert machine.num_cores >= 1
    assert plan.accelerator == ("gpu" if torch.cuda.is_available() else "mps" if machine.has_mps else "cpu")
