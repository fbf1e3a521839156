"""Measures whether bf16 is faster than fp32 for a model on this CPU; CPUs with bf16 instructions may be slow at it.

Legend: B rows, T tokens, D hidden size.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lit_humor.core.precision import BF16, FP32
from lit_humor.runs import record

_MARGIN = 1.05  # fp32 time / bf16 time from which bf16 is used
_COMMON_TOKENS = 32  # tokens of a typical row
_LEAST_FLOPS = 1e9  # of a forward and backward pass; with less work bf16 is slower because of its casts
_REPEATS, _SECONDS = 15, 0.2  # most passes of each precision, and seconds after which no further one begins
_IDLE = 0.8  # least CPU time / (seconds x threads) of a kept measurement; less if other processes were busy
_FOLDER = "probes"
_INSTRUCTIONS = (
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
)  # environment variables that limit the CPU instructions of torch


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """The sizes of a layer and its input.

    Attributes:
        hidden_size: D.
        intermediate_size: Width of the feed-forward part.
        num_heads: Heads of the attention.
        rows: B, rows of the recipe's batch.
        tokens: T, tokens of a typical row.
    """

    hidden_size: int
    intermediate_size: int
    num_heads: int
    rows: int
    tokens: int

    @classmethod
    def of(cls, config: Any, rows: int, max_length: int) -> LayerShape:
        """Return the sizes of an encoder's layers from its transformers configuration."""
        hidden = config.hidden_size
        return cls(
            hidden_size=hidden,
            intermediate_size=getattr(config, "intermediate_size", None) or 4 * hidden,
            num_heads=config.num_attention_heads,
            rows=rows,
            tokens=min(max_length, _COMMON_TOKENS),
        )

    @property
    def flops(self) -> float:
        """Multiplications and additions of the linear layers, forward and backward."""
        weights = 4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size
        return 6.0 * weights * self.rows * self.tokens


@dataclass(frozen=True)
class Probe:
    """A measurement.

    Attributes:
        shape: Sizes of the layer.
        threads: CPU threads.
        milliseconds: Time of a forward and backward pass of the layer by precision; empty for a layer that is too
            small for bf16.
    """

    shape: LayerShape
    threads: int
    milliseconds: Mapping[str, float]

    def best(self) -> tuple[str, str]:
        """Return the faster precision and the reason."""
        if not self.milliseconds:
            return FP32, f"layers of width {self.shape.hidden_size} are too small for bf16 to pay"
        fp32, bf16 = self.milliseconds[FP32], self.milliseconds[BF16]
        times = f"a layer of width {self.shape.hidden_size} takes {bf16:.3g} ms in bf16, {fp32:.3g} in fp32"
        return BF16 if fp32 / bf16 >= _MARGIN else FP32, f"measured on this machine: {times}"

    def to_json(self) -> str:
        """Return the measurement as text, for other processes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Probe:
        """Read the text of ``to_json``."""
        values = json.loads(text)
        return cls(LayerShape(**values["shape"]), values["threads"], values["milliseconds"])


def probe(shape: LayerShape, threads: int, cache_dir: str | Path) -> Probe:
    """Measure fp32 and bf16, or read an earlier measurement of this shape on this machine.

    Cost: 0.5 s for MiniLM and 1.5 s for XLM-R large on two cores, once.
    Alternatives: fp16 is not measured: with AVX512-FP16 it takes 1.2 times as long as fp32, and the loss must be scaled
    (docs/log.md).

    Args:
        shape: Sizes of the layer.
        threads: CPU threads.
        cache_dir: Folder of measurements, by machine, shape, threads and version of torch. A measurement made while
            other processes were busy is not saved there.
    """
    if shape.flops < _LEAST_FLOPS:
        return Probe(shape, threads, {})
    machine = {name: str(value) for name, value in sorted(torch.cpu.get_capabilities().items())}
    machine |= {name: os.environ.get(name, "") for name in _INSTRUCTIONS}
    asked = {"shape": asdict(shape), "threads": threads, "torch": torch.__version__}
    key = hashlib.sha256(json.dumps([asked, machine]).encode()).hexdigest()[:16]
    path = Path(cache_dir) / _FOLDER / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # if the file cannot be read, measure again
        known = record.read_json(path)["milliseconds"]
        return Probe(shape, threads, {precision: float(known[precision]) for precision in (FP32, BF16)})
    wall, cpu = time.perf_counter(), time.process_time()
    milliseconds = _measure(shape, threads)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall) / threads
    if share >= _IDLE:
        with contextlib.suppress(OSError):  # if the file cannot be written, the next run measures again
            record.write_json(path, {**asked, "milliseconds": milliseconds, "measured": time.strftime("%Y-%m-%d")})
    return Probe(shape, threads, milliseconds)


def threads_of(devices: int, num_cores: int) -> int:
    """Return the threads of each of ``devices`` CPU processes, as Lightning sets them."""
    if devices == 1 or "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, num_cores // devices)


def _measure(shape: LayerShape, threads: int) -> dict[str, float]:
    """Return the milliseconds of a forward and backward pass by precision: the least of several alternating passes."""
    seconds: dict[str, list[float]] = {FP32: [], BF16: []}
    with _threads(threads), torch.random.fork_rng(devices=[]), torch.enable_grad():
        sizes = shape.hidden_size, shape.num_heads, shape.intermediate_size
        layer = nn.TransformerEncoderLayer(*sizes, dropout=0.0, activation="gelu", batch_first=True)
        inputs = torch.randn(shape.rows, shape.tokens, shape.hidden_size)
        for precision in seconds:  # the first pass is slower, since kernels are made
            _pass(layer, inputs, precision)
        begin = time.perf_counter()
        while len(seconds[BF16]) < _REPEATS and (len(seconds[BF16]) < 2 or time.perf_counter() - begin < _SECONDS):
            for precision, taken in seconds.items():
                taken.append(_pass(layer, inputs, precision))
    return {precision: 1000 * min(taken) for precision, taken in seconds.items()}


def _pass(layer: nn.Module, inputs: torch.Tensor, precision: str) -> float:
    """Return the seconds of one forward and backward pass."""
    layer.zero_grad()
    start = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == BF16):
        outputs = layer(inputs)
    outputs.float().sum().backward()
    return time.perf_counter() - start


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
