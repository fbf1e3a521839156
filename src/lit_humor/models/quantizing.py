"""Frozen weights in 4 bits, by bitsandbytes, on a GPU as on a CPU."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lit_humor.core.errors import MissingExtraError, UserError

NONE, NF4 = "none", "nf4"
_KEY = "model.network.quantization"
_KEPT = ["lm_head", "model.visual"]  # "visual" alone would not be found


def check_quantization(quantization: str, *, has_adapter: bool) -> None:
    """Check that weights of 4 bits are frozen, and that the packages are there.

    Raises:
        UserError: All weights are to learn.
        MissingExtraError: The extra ``qlora`` is not installed.
    """
    if quantization == NONE:
        return
    if not has_adapter:
        raise UserError(
            f"{_KEY}={quantization}",
            found="no adapter: all weights learn",
            expected="an adapter beside weights of 4 bits, which cannot learn",
            fix=f"set {_KEY}={NONE}",
        )
    for package in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{_KEY}={quantization}", package=package, extra="qlora")
    import_quietly()


def import_quietly() -> None:
    """Import bitsandbytes, if it is there, without its message, and without code that it would fetch from the hub.

    Its import asks the package ``kernels``, if that is there, for a program of the hub, and runs it.
    """
    with contextlib.suppress(ImportError), _without("kernels"), _silent("bitsandbytes.backends.cpu.ops"):
        import bitsandbytes  # noqa: F401


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Have a module not be found."""
    there = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment]  # what an import takes for missing
    try:
        yield
    finally:
        del sys.modules[module]
        if there is not None:
            sys.modules[module] = there


@contextlib.contextmanager
def _silent(logger: str) -> Iterator[None]:
    """Have a logger tell errors alone."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def in_4_bits(config: Any) -> dict[str, Any]:
    """Return arguments of ``from_pretrained`` for weights in NF4 whose scales have 8 bits, without tower and head.

    Source: Dettmers et al. 2023, QLoRA (arXiv 2305.14314).

    Args:
        config: Configuration of the model; products are computed in its type, fp32 where it has none.
    """
    from transformers import BitsAndBytesConfig

    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=NF4,
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=config.dtype or torch.float32,
            llm_int8_skip_modules=_KEPT,
        )
    }


def keep_packing(model: nn.Module) -> None:
    """Have layers of 4 bits keep their weights as they are.

    On a CPU with bf16 instructions an evaluation would pack them anew in place and round their scales, which changes
    the training that follows.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            setattr(module, "support_avx512bf16_for_cpu", False)  # noqa: B010  # no attribute of a module, says mypy
