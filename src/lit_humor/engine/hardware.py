"""Chooses how to train on a machine, with a reason for each choice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lit_humor.core.errors import UserError
from lit_humor.core.precision import BF16, FP16, FP32, PRECISIONS
from lit_humor.engine.machine import Machine
from lit_humor.engine.probing import Probe
from lit_humor.learning.strategy import ShardedStrategy

ANYWHERE = ("sdpa", "eager", "matmul", "packed")  # attention backends that run on every device
FULL = "full"
DDP, FSDP = "ddp", "fsdp"
_ATTENTIONS = (*ANYWHERE, "flash_attention_2", "flex_attention")
_ROOMY_GPU_BYTES = 40 * 2**30
_ROOMY_FACTOR, _CPU_FACTOR = 4, 2  # of the tokens of a recipe's longest batch


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train on this machine.

    Attributes:
        accelerator: ``cpu``, ``gpu`` or ``mps``.
        devices: Number of devices of a machine; each has a process.
        precision: Name of one of ``PRECISIONS``.
        micro_batch_size: Rows of a batch on one device.
        max_tokens: Most tokens of a training chunk, with padding; a larger micro-batch is cut into chunks.
        accumulation: Micro-batches of an optimizer step on each device.
        num_workers: Loader processes of each training process.
        attention: Attention backend.
        compile: How the encoder is compiled: not (False), layer by layer (True), or as a whole (``full``).
        num_nodes: Machines that train together.
        strategy: ``ddp``, or ``fsdp``, where each process keeps only a part of the weights.
        reasons: The reason of each choice, by the names above.
        probe: The measurement that chose the precision; None if nothing was measured.
    """

    accelerator: str
    devices: int
    precision: str
    micro_batch_size: int
    max_tokens: int | None
    accumulation: int
    num_workers: int
    attention: str
    compile: bool | str
    num_nodes: int = 1
    strategy: str = DDP
    reasons: Mapping[str, str] = field(default_factory=dict)
    probe: Probe | None = None

    @property
    def global_batch_size(self) -> int:
        """Rows of an optimizer step over all devices and micro-batches."""
        return self.micro_batch_size * self.accumulation * self.devices * self.num_nodes

    def trainer_arguments(self) -> dict[str, Any]:
        """Return arguments of ``lightning.pytorch.Trainer``, without its sampler: ours deals the rows to processes."""
        return {
            "accelerator": self.accelerator,
            "devices": self.devices,
            "num_nodes": self.num_nodes,
            "strategy": self._strategy(),
            "precision": PRECISIONS[self.precision].passed_on,
            "accumulate_grad_batches": self.accumulation,
            "use_distributed_sampler": False,
        }

    def _strategy(self) -> Any:
        if self.strategy == FSDP:
            return ShardedStrategy(self.devices * self.num_nodes)
        return DDP if self.devices * self.num_nodes > 1 else "auto"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``environment.json``, where ``window_size`` is the key of the global batch size."""
        return asdict(self) | {"window_size": self.global_batch_size}


def make_plan(
    wanted: Mapping[str, Any],
    batch_size: int,
    num_workers: int,
    machine: Machine,
    max_length: int = 128,
    probe: Callable[[int], Probe | None] = lambda devices: None,
) -> Plan:
    """Choose a value for each setting that is ``auto``; the global batch size stays that of the recipe.

    Args:
        wanted: The ``trainer`` node of the configuration.
        batch_size: Rows of a micro-batch in the recipe; times ``trainer.accumulation`` a global batch.
        num_workers: Loader processes in the recipe.
        machine: The hardware of this machine.
        max_length: Most tokens of a row.
        probe: Measures precisions on a CPU that a given number of processes share; returns None if there is no choice.

    Raises:
        UserError: The global batch cannot be divided as the settings say, or the machine has no such device.
    """
    choose = _Choices(wanted)
    reasons = choose.reasons
    global_batch = batch_size * wanted["accumulation"]
    accelerator = choose("accelerator", *_best_accelerator(machine))
    num_nodes = _checked_nodes(wanted.get("num_nodes", 1))  # an older run does not have it
    here = max(1, global_batch // num_nodes)
    devices = _whole_number("devices", choose("devices", *_best_devices(machine, accelerator, here)))
    _check_devices(accelerator, devices, machine)
    measured = probe(devices) if accelerator == "cpu" and choose.is_open("precision") else None
    precision = _one_of("precision", choose("precision", *_best_precision(machine, accelerator, measured)), PRECISIONS)
    all_at_once = (global_batch // (devices * num_nodes) or 1, "all rows of the step at once")
    micro_batch_size = _whole_number("micro_batch_size", choose("micro_batch_size", *all_at_once))
    max_tokens = choose("max_tokens", *_best_max_tokens(machine, accelerator, batch_size * max_length))
    accumulation = _accumulation(global_batch, micro_batch_size, devices * num_nodes)
    reasons["accumulation"] = f"{global_batch} rows a step = {batch_size} x {wanted['accumulation']} of the recipe"
    workers = _best_workers(machine, accelerator, devices, num_workers)
    strategy = _one_of("strategy", choose("strategy", DDP, "every process has all weights"), (DDP, FSDP))
    if devices * num_nodes == 1 and strategy == DDP:
        del reasons["strategy"]
    plan = Plan(
        strategy=strategy,
        accelerator=accelerator,
        devices=devices,
        precision=precision,
        micro_batch_size=micro_batch_size,
        max_tokens=_checked_max_tokens(max_tokens),
        accumulation=accumulation,
        num_workers=_whole_number("num_workers", choose("num_workers", *workers)),
        attention=_one_of("attention", choose("attention", *_best_attention(accelerator)), _ATTENTIONS),
        compile=_one_of("compile", choose("compile", False, "not measured to pay on short texts"), (True, False, FULL)),
        num_nodes=num_nodes,
        reasons=reasons,
        probe=measured,
    )
    _check_fsdp(plan)
    return plan


class _Choices:
    """Returns the value that is set, or for ``auto`` the proposed value; keeps the reason of each."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.wanted, self.reasons = wanted, dict[str, str]()

    def is_open(self, name: str) -> bool:
        """Return whether a setting is ``auto``, or missing, as in an older run."""
        return self.wanted.get(name, "auto") == "auto"

    def __call__(self, name: str, value: Any, reason: str) -> Any:
        self.reasons[name] = reason if self.is_open(name) else f"set by trainer.{name}"
        return value if self.is_open(name) else self.wanted[name]


def _check_fsdp(plan: Plan) -> None:
    """Check that under FSDP every process has equally many chunks; otherwise all would wait for ever."""
    unscaled = [name for name in reversed(PRECISIONS) if not PRECISIONS[name].scales_loss]
    fits = {
        "devices": (plan.devices, plan.devices * plan.num_nodes > 1, "2 or more"),
        "max_tokens": (plan.max_tokens, plan.max_tokens is None, "null"),
        "precision": (plan.precision, plan.precision in unscaled, " or ".join(unscaled)),
        "compile": (plan.compile, not plan.compile, "false"),
    }
    for name, (value, is_fit, expected) in fits.items():
        if plan.strategy == FSDP and not is_fit:
            fix = f"set trainer.{name}={expected.split()[0]}, or trainer.strategy=ddp"
            raise UserError(f"trainer.{name}", found=f"{value} under fsdp", expected=expected, fix=fix)


def _best_accelerator(machine: Machine) -> tuple[str, str]:
    if machine.gpu_names:
        return "gpu", f"{len(machine.gpu_names)} x {machine.gpu_names[0]}"
    if machine.has_mps:
        return "mps", "Apple GPU"
    return "cpu", f"no GPU; {machine.num_cores} cores"


def _best_devices(machine: Machine, accelerator: str, global_batch: int) -> tuple[int, str]:
    if accelerator != "gpu":
        return 1, "one process uses all cores" if accelerator == "cpu" else "one device"
    count = max(n for n in range(1, max(len(machine.gpu_names), 1) + 1) if global_batch % n == 0)
    return count, f"{len(machine.gpu_names)} found; {global_batch} rows a step divide evenly"


def _best_precision(machine: Machine, accelerator: str, measured: Probe | None) -> tuple[str, str]:
    if accelerator == "gpu":
        newer = machine.gpu_bf16
        return (BF16, "the GPU multiplies bf16 (Ampere or newer)") if newer else (FP16, "the GPU has fp16 but no bf16")
    return measured.best() if measured else (FP32, "no bf16 instructions")


def _best_attention(accelerator: str) -> tuple[str, str]:
    if accelerator == "cpu":
        return "matmul", "faster than torch's on a CPU for short texts with dropout (docs/log.md)"
    return "sdpa", "torch's fused attention"


def _best_max_tokens(machine: Machine, accelerator: str, most_of_recipe: int) -> tuple[int, str]:
    """Return the most tokens of a chunk: those of the recipe's largest batch, or more if there is memory for them."""
    if accelerator == "cpu":
        return _CPU_FACTOR * most_of_recipe, "as fast as all at once within the noise, in three quarters of the memory"
    if machine.gpu_memory_bytes >= _ROOMY_GPU_BYTES:
        return _ROOMY_FACTOR * most_of_recipe, f"{_ROOMY_FACTOR} of the recipe's longest batches; there is room"
    return most_of_recipe, "the recipe's longest batch: short rows pass together, long ones take no more memory"


def _best_workers(machine: Machine, accelerator: str, devices: int, of_recipe: int) -> tuple[int, str]:
    if accelerator == "gpu":
        return min(of_recipe, max(machine.num_cores // devices - 1, 0)), "keeps the GPU fed"
    return 0, "rows are pre-tokenized; a worker would take a core from training"


def _checked_nodes(value: int) -> int:
    if value < 1:
        raise UserError("trainer.num_nodes", found=str(value), expected="1 or more", fix="set trainer.num_nodes=1")
    return value


def _checked_max_tokens(value: Any) -> int | None:
    if value is not None and _whole_number("max_tokens", value) < 1:
        expected, fix = "1 or more, null or auto", "set trainer.max_tokens=auto"
        raise UserError("trainer.max_tokens", found="0", expected=expected, fix=fix)
    return value


def _accumulation(global_batch: int, micro: int, devices: int) -> int:
    if micro < 1 or global_batch % (micro * devices):
        raise UserError(
            "trainer.micro_batch_size",
            found=f"{micro} rows x {devices} devices, which do not divide {global_batch} rows a step",
            expected="a divisor of data.batch_size x trainer.accumulation",
            fix="set trainer.micro_batch_size=auto, or change data.batch_size, trainer.accumulation or trainer.devices",
        )
    return global_batch // (micro * devices)


def _whole_number(name: str, value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        where = f"trainer.{name}"
        raise UserError(where, found=str(value), expected="a number or auto", fix=f"set {where}=auto")
    return value


def _one_of(name: str, value: Any, choices: Collection[Any]) -> Any:
    if value not in choices:
        where, listed = f"trainer.{name}", ", ".join(map(str, choices))
        raise UserError(where, found=str(value), expected=f"auto or one of {listed}", fix=f"set {where}=auto")
    return value


def _check_devices(accelerator: str, devices: int, machine: Machine) -> None:
    there = {"gpu": len(machine.gpu_names), "mps": int(machine.has_mps), "cpu": 64}.get(accelerator)
    if there is None or not 1 <= devices <= there:
        raise UserError(
            "trainer.accelerator" if not there else "trainer.devices",
            found=f"{accelerator} x {devices}",
            expected=f"what this machine has: {_best_accelerator(machine)[1]}",
            fix="set trainer.accelerator=auto trainer.devices=auto",
        )
