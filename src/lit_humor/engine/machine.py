"""What this machine has to train on, and how much of its memory was used."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What there is to train on.

    Attributes:
        num_cores: Cores this process may use.
        cpu_bf16: Instructions with which the CPU multiplies bf16 (``amx_bf16``, ``avx512_bf16``), or None; how fast is
            another question, see ``probing``.
        gpu_names: Name of each CUDA device.
        gpu_bf16: Whether all of them multiply bf16 in silicon (Ampere and newer).
        gpu_memory_bytes: Memory of the smallest of them.
        has_mps: Whether there is an Apple GPU.
    """

    num_cores: int = 1
    cpu_bf16: str | None = None
    gpu_names: tuple[str, ...] = ()
    gpu_bf16: bool = False
    gpu_memory_bytes: int = 0
    has_mps: bool = False


def look_at_machine() -> Machine:
    """Ask torch what is there; that a driver is installed says nothing about a device."""
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
    """Memory of the GPU at its peak, or of this process where it trained on the CPU."""
    if accelerator == "gpu":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage counts what the parent process held when it started this one
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
