"""Describes the hardware of this machine, and how much memory was used."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The hardware of a machine.

    Attributes:
        num_cores: CPU cores that this process may use.
        cpu_bf16: The CPU's bf16 instructions (``amx_bf16``, ``avx512_bf16``), or None; ``probing`` measures whether
            they are fast.
        gpu_names: Name of each CUDA device.
        gpu_bf16: Whether all CUDA devices have bf16 units (Ampere and newer).
        gpu_memory_bytes: Memory of the smallest CUDA device.
        has_mps: Whether there is an Apple GPU.
    """

    num_cores: int = 1
    cpu_bf16: str | None = None
    gpu_names: tuple[str, ...] = ()
    gpu_bf16: bool = False
    gpu_memory_bytes: int = 0
    has_mps: bool = False


def look_at_machine() -> Machine:
    """Return the hardware that torch finds; an installed driver alone is not a device."""
    flags = torch.cpu.get_capabilities()
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [torch.cuda.get_device_properties(index) for index in range(num_gpus)]
    return Machine(
        num_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cpu_bf16=next((name for name in ("amx_bf16", "avx512_bf16", "bf16") if flags.get(name)), None),
        gpu_names=tuple(gpu.name for gpu in gpus),
        gpu_bf16=bool(gpus) and all(gpu.major >= 8 for gpu in gpus),
        gpu_memory_bytes=min((gpu.total_memory for gpu in gpus), default=0),
        has_mps=torch.backends.mps.is_available(),
    )


def peak_memory_bytes(accelerator: str) -> int:
    """Return the peak memory of the GPU, or of this process if it trained on a CPU."""
    if accelerator == "gpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage includes memory of the parent process from when it started this one
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
