"""Measures what a run uses of the machine; without an optional package, names it instead."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import time
from typing import Any

_FIRST_SECONDS = 0.05
_MISSING = "unknown: pip install -c constraints.txt -e '.[monitor]'"


def process_use(pid: int, host: str) -> str:
    """Describe the cores and memory that a process and its children use."""
    if host != socket.gethostname():
        return f"on {host}"
    try:
        import psutil
    except ImportError:
        return _MISSING
    try:
        family = [_process(pid), *(_process(child.pid) for child in _process(pid).children(recursive=True))]
        cores = sum(process.cpu_percent() for process in family) / 100
        memory = sum(process.memory_info().rss for process in family)
    except psutil.Error:
        return "no such process"
    return (
        f"{cores:.1f} cores, {memory / 2**30:.1f} GiB; the machine: {psutil.virtual_memory().percent:.0f} % of memory"
    )


@functools.lru_cache(maxsize=64)
def _process(pid: int) -> Any:
    """Return the same object for each call: psutil measures the use since the last call, at first since 0.05 s ago."""
    import psutil

    process = psutil.Process(pid)
    process.cpu_percent()
    time.sleep(_FIRST_SECONDS)
    return process


def gpu_use() -> str:
    """Describe load and memory of each NVIDIA GPU of this machine."""
    try:
        import pynvml
    except ImportError:
        return _MISSING
    try:
        pynvml.nvmlInit()
        gpus = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            device = pynvml.nvmlDeviceGetHandleByIndex(index)
            load, memory = pynvml.nvmlDeviceGetUtilizationRates(device).gpu, pynvml.nvmlDeviceGetMemoryInfo(device)
            gpus.append(f"{index}: {load} %, {memory.used / 2**30:.1f} of {memory.total / 2**30:.0f} GiB")
    except pynvml.NVMLError:
        return "none"
    return "; ".join(gpus) or "none"


def gpu_numbers() -> list[str]:
    """Return the numbers of the NVIDIA GPUs that may be used."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [number for number in visible.split(",") if number]
    try:
        output = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(number) for number, _ in enumerate(output.splitlines())]
