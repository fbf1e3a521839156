"""What torch can do on this machine: how fast it multiplies, which attention runs, what depends on the device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lit_humor.core.errors import one_line
from lit_humor.core.precision import BF16, FP32, PRECISIONS
from lit_humor.engine.machine import Machine

_SIZE = {"cpu": 2048, "cuda": 8192, "mps": 4096}  # starting a product takes no noticeable time
ATTENTIONS = {
    "plain": SDPBackend.MATH,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
}


def performance_facts(machine: Machine) -> list[tuple[str, str]]:
    """Return what decides about speed here, each with what was found; takes a second."""
    device = torch.device("cuda" if machine.gpu_names else "mps" if machine.has_mps else "cpu")
    rates = {kind: matmul_ceiling(kind, device) / 1e9 for kind in (FP32, BF16)}
    attention = "; ".join(f"{name}: {', '.join(cases) or 'never'}" for name, cases in attentions(device).items())
    return [
        ("large products of matrices", ", ".join(f"{rate:,.0f} GFLOPS in {kind}" for kind, rate in rates.items())),
        ("attention of torch that runs", attention),
        ("fused AdamW", _tried(lambda: _step_fused(device))),
        ("pinned memory", _tried(_pin) if machine.gpu_names else "not used: only batches that go to a GPU need it"),
    ]


def dtype_of(precision: str) -> torch.dtype:
    """Return the type in which a precision multiplies matrices."""
    return getattr(torch, PRECISIONS[precision].computes_in)


def matmul_ceiling(precision: str, device: torch.device) -> float:
    """Return the floating-point operations per second of a large matrix product on this machine, the best of three."""
    kind, size = dtype_of(precision), _SIZE[device.type]
    left, right = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
    seconds = []
    for _ in range(3):
        synchronise(device)
        start = time.perf_counter()
        torch.matmul(left, right)
        synchronise(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def attentions(device: torch.device) -> dict[str, list[str]]:
    """Return each kind of torch's attention with the cases in which it runs forward and backward.

    The cases: texts without padding, with a ``mask``, with ``dropout``, with ``mask and dropout``, as in a training.
    """
    mask = torch.zeros(2, 1, 8, 8, device=device)
    cases: dict[str, dict[str, Any]] = {
        "without padding": {},
        "mask": {"attn_mask": mask},
        "dropout": {"dropout_p": 0.1},
        "mask and dropout": {"attn_mask": mask, "dropout_p": 0.1},
    }
    return {
        name: [case for case, options in cases.items() if _attends(device, kind, options)]
        for name, kind in ATTENTIONS.items()
    }


def _attends(device: torch.device, kind: SDPBackend, options: dict[str, Any]) -> bool:
    """Whether a kind of torch's attention runs forward and backward."""
    dtype = torch.float32 if device.type == "cpu" else torch.float16  # flash has no fp32 on a GPU
    state = torch.randn(2, 2, 8, 16, device=device, dtype=dtype, requires_grad=True)
    options = {name: value.to(dtype) if isinstance(value, torch.Tensor) else value for name, value in options.items()}
    try:
        with sdpa_kernel(kind):
            F.scaled_dot_product_attention(state, state, state, **options).sum().backward()
    except RuntimeError:
        return False
    return True


def _step_fused(device: torch.device) -> None:
    weight = torch.nn.Parameter(torch.ones(4, device=device))
    weight.grad = torch.ones_like(weight)
    torch.optim.AdamW([weight], fused=True).step()


def _pin() -> None:
    torch.ones(4).pin_memory()


def _tried(work: Callable[[], Any]) -> str:
    """Return ``runs``, or why it does not."""
    try:
        work()
    except RuntimeError as error:
        return f"does not run: {one_line(error, 80)}"
    return "runs"


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
